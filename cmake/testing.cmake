# The main of every test program: GoogleTest's own, and where the data of others is (tests/test_data.h).

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
  endif()
endfunction()
