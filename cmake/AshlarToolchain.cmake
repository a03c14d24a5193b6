# Language level, warnings, sanitizers and build tools, the same for every target.

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "Ashlar needs clang 19 or later (GCC 12 miscompiles co_await in conditions); "
                      "use a preset: cmake --preset release")
endif()

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(ASHLAR_CCACHE ccache)
if(ASHLAR_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${ASHLAR_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${ASHLAR_CCACHE})
endif()

set(ASHLAR_SANITIZE "" CACHE STRING "Comma-separated sanitizers for every target, such as address,undefined")
option(ASHLAR_FUZZ "Build the libFuzzer targets" OFF)

add_library(ashlar_options INTERFACE)
target_include_directories(ashlar_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(ashlar_options INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough -Wundef
  -Wno-gnu-statement-expression -fno-omit-frame-pointer)
target_link_options(ashlar_options INTERFACE -fuse-ld=lld-19)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # SSE4.2 brings the CRC32C instruction; every x86 server of the last fifteen years has it.
  target_compile_options(ashlar_options INTERFACE -march=x86-64-v2 -mtune=native)
endif()
if(ASHLAR_SANITIZE)
  target_compile_options(ashlar_options INTERFACE -fsanitize=${ASHLAR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(ashlar_options INTERFACE -fsanitize=${ASHLAR_SANITIZE})
endif()
if(ASHLAR_FUZZ)
  target_compile_options(ashlar_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
