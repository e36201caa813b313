# One target a folder: tenon_library(kernels DEPS tensor base) makes tenon_kernels from every .cpp of the folder, and
# tenon_kernels_test from its *_test.cpp. DEPS are the folder's arrows (src/README.md); they become PUBLIC links.
# LIBS are third-party libraries that the folder's own sources use.

add_library(tenon_flags INTERFACE)
target_compile_options(tenon_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers
                                             -fno-math-errno -ffp-contract=off)
target_include_directories(tenon_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
# clang blames std::stable_sort's callers for what libstdc++ 12 uses in it.
target_compile_options(tenon_flags INTERFACE "$<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>")
if(TENON_WERROR)
  target_compile_options(tenon_flags INTERFACE -Werror)
endif()
if(TENON_SANITIZE)
  # Without variable tracking, which takes g++ a quarter of an hour for each file of sanitized SIMD kernels, and without
  # a warning for each of Asio's fences, which ThreadSanitizer does not see: Asio's locks order the same.
  target_compile_options(tenon_flags INTERFACE -fsanitize=${TENON_SANITIZE} -fno-omit-frame-pointer
                                               -fno-sanitize-recover=all
                                               "$<$<CXX_COMPILER_ID:GNU>:-fno-var-tracking;-Wno-tsan>")
  target_link_options(tenon_flags INTERFACE -fsanitize=${TENON_SANITIZE})
endif()

function(tenon_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "(_(test|benchmark)|/main)\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(TRANSFORM ARG_DEPS PREPEND tenon_)
  if(NOT sources)
    message(STATUS "tenon: ${name} has no sources yet")
    add_library(tenon_${name} INTERFACE)
    target_link_libraries(tenon_${name} INTERFACE tenon_flags ${ARG_DEPS} ${ARG_LIBS})
  else()
    add_library(tenon_${name} STATIC ${sources})
    target_link_libraries(tenon_${name} PUBLIC tenon_flags ${ARG_DEPS} ${ARG_LIBS})
  endif()
  if(TENON_TESTS AND tests)
    tenon_test(tenon_${name}_test SOURCES ${tests} DEPS tenon_${name})
  endif()
endfunction()

# A GoogleTest program. Paths that tests need reach them as environment variables; the discovery of tests, which runs
# without them, has the source directory compiled in.
function(tenon_test target)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE tenon_flags ${ARG_DEPS} GTest::gtest_main GTest::gmock)
  target_compile_definitions(${target} PRIVATE TENON_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES TIMEOUT 600 ENVIRONMENT
                       "TENON_SOURCE_DIR=${PROJECT_SOURCE_DIR};TENON_BINARY_DIR=${PROJECT_BINARY_DIR}")
endfunction()
