// What a shared library needs to be a plug-in: one line, TENON_EXPORT_ARCHITECTURE(NAME), in one source file. Tenon and
// the CMake package write that file themselves, so that a folder under architectures/ and a plug-in are the same.
#pragma once

#include "model/plugin/abi.h"

namespace tenon::model {
struct Architecture;
}

#define TENON_EXPORT_ARCHITECTURE(family)                                                                  \
  namespace tenon::architectures::family {                                                                 \
  const ::tenon::model::Architecture& architecture();                                                      \
  }                                                                                                        \
  extern "C" {                                                                                             \
  __attribute__((visibility("default"), used)) extern const char tenon_plugin_abi[];                       \
  const char tenon_plugin_abi[] = TENON_PLUGIN_ABI;                                                        \
  __attribute__((visibility("default"), used)) extern const char tenon_plugin_family[];                    \
  const char tenon_plugin_family[] = #family;                                                              \
  __attribute__((visibility("default"))) const ::tenon::model::Architecture* tenon_plugin_architecture() { \
    return &::tenon::architectures::family::architecture();                                                \
  }                                                                                                        \
  }                                                                                                        \
  static_assert(true)
