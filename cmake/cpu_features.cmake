# Which CPU features a build depends on, read from the compiler's own macros for the flags that ggml
# is compiled with. Writes build_info.h; the module checks the list when it is imported.

# macro : name in native/src/base/cpu_features.cc. Those whose instructions a compiler may choose by
# itself or the vendored library asks for; AMX, which it asks the system for, is not among them.
set(
  known_features
  __SSE4_2__:sse4.2
  __AVX__:avx
  __AVX2__:avx2
  __FMA__:fma
  __F16C__:f16c
  __POPCNT__:popcnt
  __LZCNT__:lzcnt
  __MOVBE__:movbe
  __BMI__:bmi
  __BMI2__:bmi2
  __GFNI__:gfni
  __AVXVNNI__:avxvnni
  __AVXIFMA__:avxifma
  __AVXVNNIINT8__:avxvnniint8
  __AVXVNNIINT16__:avxvnniint16
  __AVXNECONVERT__:avxneconvert
  __AVX512F__:avx512f
  __AVX512BW__:avx512bw
  __AVX512DQ__:avx512dq
  __AVX512VL__:avx512vl
  __AVX512CD__:avx512cd
  __AVX512IFMA__:avx512ifma
  __AVX512VBMI__:avx512vbmi
  __AVX512VBMI2__:avx512vbmi2
  __AVX512BITALG__:avx512bitalg
  __AVX512VPOPCNTDQ__:avx512vpopcntdq
  __AVX512VP2INTERSECT__:avx512vp2intersect
  __AVX512FP16__:avx512fp16
  __AVX512VNNI__:avx512vnni
  __AVX512BF16__:avx512bf16
  __ARM_FEATURE_CRC32:crc
  __ARM_FEATURE_ATOMICS:lse
  __ARM_FEATURE_FP16_VECTOR_ARITHMETIC:fp16
  __ARM_FEATURE_QRDMX:rdma
  __ARM_FEATURE_RCPC:rcpc
  __ARM_FEATURE_DOTPROD:dotprod
  __ARM_FEATURE_SVE:sve
  __ARM_FEATURE_FP16_FML:fp16fml
  __ARM_FEATURE_SVE2:sve2
  __ARM_FEATURE_MATMUL_INT8:i8mm
  __ARM_FEATURE_BF16:bf16
  __ARM_FEATURE_SME:sme
)

# Sets RESULT to the features that code compiled with FLAGS may use, as C++ strings.
function(pyserve_features_of result)
  execute_process(
    COMMAND "${CMAKE_CXX_COMPILER}" ${ARGN} -dM -E -x c++ /dev/null
    OUTPUT_VARIABLE macros
    RESULT_VARIABLE macros_result
  )
  if(NOT macros_result EQUAL 0)
    message(FATAL_ERROR "${CMAKE_CXX_COMPILER} cannot list its predefined macros with \"${ARGN}\".")
  endif()
  set(features "")
  foreach(entry IN LISTS known_features)
    string(REPLACE ":" ";" pair "${entry}")
    list(GET pair 0 macro)
    list(GET pair 1 feature)
    if(macros MATCHES "#define ${macro} 1")
      string(APPEND features "\"${feature}\", ")
    endif()
  endforeach()
  set(${result} "${features}" PARENT_SCOPE)
endfunction()

if(DEFINED ENV{LLAMA_CPP_DIR})
  set(PYSERVE_VENDOR "llama.cpp of another tree")
else()
  file(STRINGS vendor/llama.cpp.toml upstream_commit REGEX "^upstream_commit = ")
  string(REGEX REPLACE ".*\"(.*)\".*" "llama.cpp \\1" PYSERVE_VENDOR "${upstream_commit}")
endif()

# Writes DIRECTORY/build_info.h for a module whose ggml is compiled with the flags that follow.
function(pyserve_write_build_info directory level)
  set(PYSERVE_LEVEL "${level}")
  pyserve_features_of(PYSERVE_CPU_FEATURES ${ARGN})
  configure_file(
    "${CMAKE_SOURCE_DIR}/native/bindings/build_info.h.in"
    "${CMAKE_BINARY_DIR}/${directory}/build_info.h"
    @ONLY
  )
endfunction()
