# The levels of x86-64 that a wheel has native modules for. They differ in ggml's kernels alone:
# all else is compiled once, for any x86-64, and our own kernels are chosen when the program runs.

# name : flags. From the lowest; a machine gets the last one that it has all features of.
set(
  pyserve_levels
  "x86-64-v2:-march=x86-64-v2" # 2009: Nehalem
  "x86-64-v3:-march=x86-64-v3" # 2013: Haswell, Zen
  "x86-64-v3-vnni:-march=x86-64-v3 -mavxvnni" # 2021: Alder Lake, and Intel's small cores
  "x86-64-v4:-march=x86-64-v4" # 2017: Skylake-SP
  "x86-64-v4-vnni:-march=x86-64-v4 -mavx512vnni" # 2019: Cascade Lake, Ice Lake
  "x86-64-v4-bf16:-march=x86-64-v4 -mavx512vnni -mavx512vbmi -mgfni -mavx512bf16" # 2022: Zen 4, Sapphire Rapids
)

# Adds ggml-cpu-LEVEL, which is ggml-cpu with other flags.
function(pyserve_add_ggml_cpu level)
  set(copy "ggml-cpu-${level}")
  get_target_property(source_dir ggml-cpu SOURCE_DIR)
  get_target_property(sources ggml-cpu SOURCES)
  add_library(${copy} STATIC EXCLUDE_FROM_ALL)
  foreach(source IN LISTS sources)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${source_dir}")
    target_sources(${copy} PRIVATE "${source}")
  endforeach()
  set(
    properties
    C_STANDARD
    CXX_STANDARD
    COMPILE_DEFINITIONS
    COMPILE_FEATURES
    INCLUDE_DIRECTORIES
    LINK_LIBRARIES
    INTERFACE_LINK_LIBRARIES
  )
  foreach(name IN LISTS properties)
    get_target_property(value ggml-cpu ${name})
    if(value)
      set_property(TARGET ${copy} PROPERTY ${name} "${value}")
    endif()
  endforeach()
  get_target_property(options ggml-cpu COMPILE_OPTIONS)
  list(FILTER options EXCLUDE REGEX "^-m")
  target_compile_options(${copy} PRIVATE ${options} ${ARGN})
  get_directory_property(definitions DIRECTORY "${source_dir}" COMPILE_DEFINITIONS)
  target_compile_definitions(${copy} PRIVATE ${definitions})
endfunction()

if(PYSERVE_LEVELS)
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    message(FATAL_ERROR "PYSERVE_LEVELS is for x86-64, this is ${CMAKE_SYSTEM_PROCESSOR}.")
  endif()
  set(PYSERVE_LEVEL_ROWS "")
  set(level_names)
  foreach(entry IN LISTS pyserve_levels)
    string(REGEX MATCH "^([^:]+):(.*)$" _ "${entry}")
    set(level "${CMAKE_MATCH_1}")
    separate_arguments(flags UNIX_COMMAND "${CMAKE_MATCH_2}")
    pyserve_add_ggml_cpu(${level} ${flags})
    pyserve_write_build_info("generated/${level}" ${level} ${flags})
    pyserve_features_of(features ${flags})
    string(APPEND PYSERVE_LEVEL_ROWS "    {\"${level}\", {${features}}},\n")
    list(APPEND level_names ${level})
  endforeach()
  configure_file(native/bindings/levels.h.in "${CMAKE_BINARY_DIR}/generated/levels.h" @ONLY)

  # What links ggml gets the copy that its property PYSERVE_LEVEL names.
  foreach(name IN ITEMS LINK_LIBRARIES INTERFACE_LINK_LIBRARIES)
    get_target_property(links ggml ${name})
    list(TRANSFORM links REPLACE "^ggml-cpu$" "ggml-cpu$<TARGET_PROPERTY:PYSERVE_LEVEL>")
    set_property(TARGET ggml PROPERTY ${name} "${links}")
  endforeach()
else()
  get_target_property(flags ggml-cpu COMPILE_OPTIONS)
  list(FILTER flags INCLUDE REGEX "^-m")
  if(GGML_NATIVE)
    pyserve_write_build_info(generated native ${flags})
  else()
    pyserve_write_build_info(generated custom ${flags})
  endif()
endif()
