# Every library here is a package of Debian 12; scripts/packages.txt names them.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Boost 1.81 REQUIRED)  # its headers alone
find_package(nlohmann_json 3.11 REQUIRED)
find_package(simdjson REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(fmt REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
find_package(Protobuf 3.21 REQUIRED)
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(TOMLPLUSPLUS REQUIRED tomlplusplus>=3.3)  # its headers alone, so that fuzzing sees it
pkg_check_modules(URING REQUIRED IMPORTED_TARGET liburing)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# Data that the tests compare with and that is not part of the project; tests say so when they skip.
set(OLLM_TEST_DATA "$ENV{OLLM_TEST_DATA}" CACHE PATH "Folder with the models and goldens of others")
if(NOT OLLM_TEST_DATA)
  get_filename_component(beside "${PROJECT_SOURCE_DIR}/../shared" ABSOLUTE)
  if(IS_DIRECTORY "${beside}")
    set(OLLM_TEST_DATA "${beside}" CACHE PATH "" FORCE)
  endif()
endif()

if(OLLM_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
