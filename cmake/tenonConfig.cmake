# find_package(tenon) for architectures out of Tenon's tree. tenon_architecture(NAME [SOURCES …]) makes the plug-in of a
# folder: by default of all its .cpp files but *_test.cpp, which declare tenon::architectures::NAME::architecture().
#   find_package(tenon REQUIRED)
#   tenon_architecture(my_model)
# The library is loaded with `tenon serve --custom-architectures`, given its path or that of the folder.
get_filename_component(TENON_INCLUDE_DIR ${CMAKE_CURRENT_LIST_DIR}/../../../include/tenon ABSOLUTE)
if(NOT EXISTS ${TENON_INCLUDE_DIR}/tenon_sdk.h)
  set(tenon_FOUND FALSE)
  set(tenon_NOT_FOUND_MESSAGE "there are no headers in ${TENON_INCLUDE_DIR}")
  return()
endif()

function(tenon_architecture name)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  if(NOT ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
    list(FILTER ARG_SOURCES EXCLUDE REGEX "_test\\.cpp$")
  endif()
  set(export ${CMAKE_CURRENT_BINARY_DIR}/export_${name}.cpp)
  file(CONFIGURE OUTPUT ${export} CONTENT
       "#include \"model/plugin/export.h\"\nTENON_EXPORT_ARCHITECTURE(${name});\n")
  add_library(${name} MODULE ${ARG_SOURCES} ${export})
  target_include_directories(${name} SYSTEM PRIVATE ${TENON_INCLUDE_DIR})
  target_compile_features(${name} PRIVATE cxx_std_23)
  set_target_properties(${name} PROPERTIES PREFIX "" CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden)
  if(TENON_PLUGIN_OUTPUT)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${TENON_PLUGIN_OUTPUT})
  endif()
endfunction()
