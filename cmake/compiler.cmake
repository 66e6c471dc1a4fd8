# The language and the flags of every target. Same bits on every machine is a rule of the project,
# so nothing here may let the compiler choose instructions or orders of addition by itself.

if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" OR NOT CMAKE_SIZEOF_VOID_P EQUAL 8)
  message(FATAL_ERROR "ollm is built for 64-bit x86 (x86_64) alone, as its kernels and its floating-point "
                      "mode are of that architecture; this is ${CMAKE_SYSTEM_PROCESSOR}")
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)  # the shared library gives away what OLLM_API marks
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g -DOLLM_DCHECK_ON=1")

add_library(ollm_flags INTERFACE)
target_compile_options(ollm_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow
  $<$<BOOL:${OLLM_WERROR}>:-Werror>
  # Fused operations are written as such, never made by the compiler (docs/decisions/same-bits.md).
  -ffp-contract=off
  -fno-math-errno
  # libstdc++ 12 calls std::get_temporary_buffer inside std::stable_sort, which clang reports as ours.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>)

if(OLLM_SANITIZE)
  add_compile_definitions(OLLM_DCHECK_ON=1)  # as in Debug: who looks for faults pays for inner loops
  add_compile_options(-fsanitize=${OLLM_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${OLLM_SANITIZE})
  # GCC's own documentation warns of false alarms with sanitizers; 12 has one in <regex>.
  add_compile_options($<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()

if(OLLM_FUZZ)  # libFuzzer steers by coverage, so all code is instrumented, not the targets alone
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

find_program(OLLM_CCACHE ccache)
if(OLLM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${OLLM_CCACHE})
endif()
