# The headers that a program using the library sees: those beside ollm.h and what they include of ours,
# to the last.
# Found by reading, so that no list of them has to be kept. `cmake -P` of this file prints them.

cmake_minimum_required(VERSION 3.25)  # run alone there is no project that said it
function(ollm_public_headers source_folder result)
  file(GLOB queue RELATIVE "${source_folder}" "${source_folder}/ollm/*.h")
  set(found "")
  while(queue)
    list(POP_FRONT queue header)
    if(header IN_LIST found)
      continue()
    endif()
    list(APPEND found "${header}")
    file(STRINGS "${source_folder}/${header}" lines REGEX "^#include \"ollm/[^\"]+\"")
    foreach(line ${lines})
      string(REGEX REPLACE "^#include \"([^\"]+)\".*" "\\1" included "${line}")
      list(APPEND queue "${included}")
    endforeach()
  endwhile()
  list(SORT found)
  set(${result} "${found}" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
  ollm_public_headers("${CMAKE_CURRENT_LIST_DIR}/../src" headers)
  foreach(header ${headers})
    execute_process(COMMAND ${CMAKE_COMMAND} -E echo "${header}")  # message() adds to stderr
  endforeach()
endif()
