// What a plug-in and the program that loads it must agree on to the letter: the headers of the SDK (their hash is made
// when Tenon is built) and the standard library with those of its settings that change the layout of types.
#pragma once

#include <cstddef>  // the standard library's own macros

#include "tenon_sdk.h"  // generated: TENON_SDK_VERSION, TENON_SDK_HASH

#define TENON_ABI_TEXT(x) TENON_ABI_TEXT_INNER(x)
#define TENON_ABI_TEXT_INNER(x) #x

#if defined(_LIBCPP_VERSION)
#define TENON_ABI_LIBRARY "libc++ " TENON_ABI_TEXT(_LIBCPP_VERSION)
#elif defined(_GLIBCXX_DEBUG)
#define TENON_ABI_LIBRARY "libstdc++ " TENON_ABI_TEXT(_GLIBCXX_RELEASE) " in debug mode"
#else
#define TENON_ABI_LIBRARY \
  "libstdc++ " TENON_ABI_TEXT(_GLIBCXX_RELEASE) " (C++11 ABI " TENON_ABI_TEXT(_GLIBCXX_USE_CXX11_ABI) ")"
#endif

/// The mark by which it is found in a file that is not loaded yet.
#define TENON_PLUGIN_ABI_MARK "tenon-plugin-abi: "
#define TENON_PLUGIN_ABI TENON_PLUGIN_ABI_MARK "tenon " TENON_SDK_VERSION ", " TENON_ABI_LIBRARY ", SDK " TENON_SDK_HASH
