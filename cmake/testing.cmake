# The main of every test program: GoogleTest's own, and where the data of others is (tests/test_data.h);
# and the folder that tests keep keys and values in.

function(ollm_test_support)
  if(OLLM_TESTS)
    add_library(ollm_test_main STATIC ${PROJECT_SOURCE_DIR}/tests/test_data.cc)
    target_include_directories(ollm_test_main PUBLIC ${PROJECT_SOURCE_DIR}/src
                               ${PROJECT_SOURCE_DIR})
    target_link_libraries(ollm_test_main PUBLIC GTest::gtest GTest::gmock PRIVATE ollm_flags)

    # Apart, as linking it replaces operator new of the whole program.
    add_library(ollm_allocation_count STATIC ${PROJECT_SOURCE_DIR}/tests/allocation_count.cc)
    target_include_directories(ollm_allocation_count PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(ollm_allocation_count PRIVATE ollm_flags)

    # Whoever runs tests keeps what is in their own cache. ctest reads this file, and its tests
    # inherit the variable; a list of two variables would be taken apart on its way to a test.
    file(WRITE ${PROJECT_BINARY_DIR}/test_cache.cmake
         "set(ENV{XDG_CACHE_HOME} \"${PROJECT_BINARY_DIR}/test_cache\")\n")
    set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY TEST_INCLUDE_FILES
                 ${PROJECT_BINARY_DIR}/test_cache.cmake)
  endif()
endfunction()
