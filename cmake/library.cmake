# The shared library that others use, made of the objects of all folders, and what `cmake --install`
# brings: the command, the library with its headers, find_package and pkg-config files, documents.
# The command itself is linked from the folders' libraries and needs no libollm.so beside it.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

function(ollm_shared_library)
  list(TRANSFORM ARGN PREPEND ollm_ OUTPUT_VARIABLE folders)
  list(JOIN folders "," folders)
  file(WRITE ${PROJECT_BINARY_DIR}/library.cc "")  # a library needs a source
  add_library(ollm_library SHARED ${PROJECT_BINARY_DIR}/library.cc)
  target_link_libraries(ollm_library PRIVATE ollm_runtime)  # and with it what all of them link
  # Before 1.0 a minor version may change the interface, so that it is a part of the name to load.
  set_target_properties(ollm_library PROPERTIES
    OUTPUT_NAME ollm
    EXPORT_NAME ollm
    LINK_LIBRARY_OVERRIDE "WHOLE_ARCHIVE,${folders}"
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/exports.map)
  target_link_options(ollm_library PRIVATE
    "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map")
  if(NOT OLLM_SANITIZE)  # the sanitizers' own functions come with the program
    target_link_options(ollm_library PRIVATE LINKER:-z,defs)
  endif()
  target_include_directories(ollm_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(ollm_library INTERFACE cxx_std_20)
endfunction()

# Completions and manual pages, as the built command writes them about itself.
function(ollm_command_documents)
  set(folder ${PROJECT_BINARY_DIR}/command)
  set(written ${folder}/completions/ollm ${folder}/completions/_ollm
              ${folder}/completions/ollm.fish ${folder}/man/ollm.1)
  add_custom_command(OUTPUT ${written}
    COMMAND ${CMAKE_COMMAND} -E rm -rf ${folder}  # pages of commands that are no more
    COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}/completions ${folder}/man
    COMMAND ollm completions bash > ${folder}/completions/ollm
    COMMAND ollm completions zsh > ${folder}/completions/_ollm
    COMMAND ollm completions fish > ${folder}/completions/ollm.fish
    COMMAND ollm man ${folder}/man
    DEPENDS ollm VERBATIM)
  add_custom_target(ollm_command_documents ALL DEPENDS ${written})
  install(FILES ${folder}/completions/ollm
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${folder}/completions/_ollm DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
  install(FILES ${folder}/completions/ollm.fish
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
  install(DIRECTORY ${folder}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endfunction()

function(ollm_install)
  install(TARGETS ollm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  if(NOT CMAKE_CROSSCOMPILING)
    ollm_command_documents()
  endif()
  install(TARGETS ollm_library EXPORT ollm LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

  # Which headers is found when they are installed, so that no edit of one configures anew.
  install(CODE "
    include(\"${PROJECT_SOURCE_DIR}/cmake/public_headers.cmake\")
    ollm_public_headers(\"${PROJECT_SOURCE_DIR}/src\" headers)
    foreach(header \${headers})
      get_filename_component(folder \"\${header}\" DIRECTORY)
      file(INSTALL \"${PROJECT_SOURCE_DIR}/src/\${header}\"
           DESTINATION \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}/\${folder}\")
    endforeach()")

  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/ollm)
  install(EXPORT ollm FILE ollm-targets.cmake NAMESPACE ollm:: DESTINATION ${package})
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/ollm-config.cmake.in
    ${PROJECT_BINARY_DIR}/ollm-config.cmake INSTALL_DESTINATION ${package})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/ollm-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/ollm-config.cmake ${PROJECT_BINARY_DIR}/ollm-config-version.cmake
          DESTINATION ${package})

  # Relative to where the file lies, so that an installed tree may be moved.
  file(RELATIVE_PATH OLLM_PC_PREFIX
       ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
  configure_file(${PROJECT_SOURCE_DIR}/cmake/ollm.pc.in ${PROJECT_BINARY_DIR}/ollm.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/ollm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

  install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING
          PATTERN *.md PATTERN *.schema.json)
  install(FILES examples/cpp/story.cc examples/cpp/plan.cc DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
endfunction()
