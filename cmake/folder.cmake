# One folder of src/ollm is one library and one test program: `ollm_folder(text DEPENDS base)` builds
# `ollm_text` from every .cc beside it and `text_test` from every *_test.cc. New files are found by
# themselves, so that adding one touches no list.

function(ollm_folder name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPENDS;LIBRARIES;EXCLUDE")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  foreach(pattern ${arg_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "${pattern}")
  endforeach()

  list(TRANSFORM arg_DEPENDS PREPEND "ollm_" OUTPUT_VARIABLE depends)
  if(sources)
    add_library(ollm_${name} STATIC ${sources})
    target_include_directories(ollm_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(ollm_${name} PUBLIC ${depends} PRIVATE ollm_flags ${arg_LIBRARIES})
  else()
    add_library(ollm_${name} INTERFACE)
    target_include_directories(ollm_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(ollm_${name} INTERFACE ${depends})
  endif()

  if(OLLM_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE ollm_${name} ollm_flags ollm_test_main
                          ${arg_LIBRARIES})
    ollm_discover_tests(${name}_test)
  endif()
endfunction()

# Registers every test of a program with ctest, with the data of others where it was found. Suites
# whose name begins with Slow get the label `slow`: scripts/test-long runs them, scripts/test does not.
function(ollm_discover_tests target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LABELS")
  # Two properties, as the discovery takes a list of two values apart.
  set(properties ENVIRONMENT "OLLM_TEST_DATA=${OLLM_TEST_DATA}"
                 ENVIRONMENT_MODIFICATION "OLLM_BINARY=set:$<TARGET_FILE:ollm>")
  set(where DISCOVERY_TIMEOUT 60 DISCOVERY_MODE PRE_TEST WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set(labels ${properties})
  if(arg_LABELS)
    list(APPEND labels LABELS "${arg_LABELS}")
  endif()
  # A test that hangs fails by its time, which ctest alone would not bound; the slowest of the fast
  # ones has taken 180 s on a loaded machine.
  gtest_discover_tests(${target} ${where} TEST_FILTER "-Slow*:*/Slow*"
                       PROPERTIES ${labels} TIMEOUT 600)
  gtest_discover_tests(${target} ${where} TEST_FILTER "Slow*:*/Slow*"
                       PROPERTIES ${properties} LABELS slow)
endfunction()
