# The vendored llama.cpp: found or fetched, then built as static libraries.
# Sets nothing outside; provides the targets `llama` (with ggml) and `pyserve_vendor_jinja`,
# and with PYSERVE_BENCH_SERVER also `llama-server`, the reference of the benchmarks.

option(
  PYSERVE_BENCH_SERVER
  "Make llama-server buildable: benchmarks only, in a build directory of its own"
  OFF
)
set(LLAMA_CPP_DIR "$ENV{LLAMA_CPP_DIR}" CACHE PATH "A llama.cpp source tree to use instead of the pinned one")
set(llama_dir "${LLAMA_CPP_DIR}")
if(NOT llama_dir)
  set(llama_dir "${CMAKE_CURRENT_SOURCE_DIR}/vendor/llama.cpp")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS vendor/llama.cpp.toml vendor/fetch.py)
  set(llama_parts)
  if(PYSERVE_BENCH_SERVER)
    set(llama_parts --with server)
  endif()
  execute_process(
    COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/vendor/fetch.py" ${llama_parts}
    RESULT_VARIABLE fetch_result
  )
  if(NOT fetch_result EQUAL 0)
    message(FATAL_ERROR "llama.cpp could not be fetched, see the message above.")
  endif()
endif()

set(BUILD_SHARED_LIBS OFF)
set(GGML_NATIVE ON CACHE BOOL "Build for this machine's CPU")
set(GGML_OPENMP OFF CACHE BOOL "")
set(GGML_CCACHE OFF CACHE BOOL "")
set(GGML_LLAMAFILE ON CACHE BOOL "")
set(GGML_BACKEND_DL OFF CACHE BOOL "")
set(GGML_RPC OFF CACHE BOOL "")
set(LLAMA_BUILD_COMMON "${PYSERVE_BENCH_SERVER}" CACHE BOOL "")
set(LLAMA_BUILD_UI OFF CACHE BOOL "")
set(LLAMA_USE_PREBUILT_UI OFF CACHE BOOL "")
set(LLAMA_OPENSSL OFF CACHE BOOL "")
set(LLAMA_SUBPROCESS OFF CACHE BOOL "")
set(LLAMA_ALL_WARNINGS OFF CACHE BOOL "")
set(LLAMA_BUILD_NUMBER 0)
set(LLAMA_BUILD_COMMIT "pinned")
add_subdirectory("${llama_dir}" llama.cpp EXCLUDE_FROM_ALL SYSTEM)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_property(
    SOURCE "${llama_dir}/ggml/src/ggml-cpu/amx/mmq.cpp" TARGET_DIRECTORY ggml-cpu
    APPEND
    PROPERTY COMPILE_OPTIONS -include "${CMAKE_CURRENT_SOURCE_DIR}/cmake/whole_tile_config.h"
  )
endif()

# The Jinja engine alone: chat templates need nothing else of common/.
file(GLOB jinja_sources "${llama_dir}/common/jinja/*.cpp")
add_library(
  pyserve_vendor_jinja
  STATIC
  EXCLUDE_FROM_ALL
  ${jinja_sources}
  "${llama_dir}/common/json.cpp"
  "${llama_dir}/common/unicode.cpp"
)
target_include_directories(pyserve_vendor_jinja SYSTEM PUBLIC "${llama_dir}/common" "${llama_dir}/vendor")
target_link_libraries(pyserve_vendor_jinja PUBLIC ggml)
target_compile_features(pyserve_vendor_jinja PUBLIC cxx_std_17)

# NOTE: upstream's tools/CMakeLists.txt builds all tools, so it is not unpacked; these three directories
# are added here with the variables they would have seen below it.
function(pyserve_add_bench_server)
  foreach(name IN ITEMS LLAMA_VERSION_BASE LLAMA_VERSION_MAJOR)
    get_directory_property(${name} DIRECTORY "${llama_dir}" DEFINITION ${name})
  endforeach()
  set(PROJECT_SOURCE_DIR "${llama_dir}")
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
  foreach(tool IN ITEMS ui mtmd server)
    add_subdirectory("${llama_dir}/tools/${tool}" "llama.cpp/tools/${tool}" EXCLUDE_FROM_ALL SYSTEM)
  endforeach()
endfunction()

if(PYSERVE_BENCH_SERVER)
  pyserve_add_bench_server()
endif()
