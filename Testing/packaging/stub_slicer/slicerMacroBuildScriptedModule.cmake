# As Slicer's: each file is copied at build time to where it stands below the calling folder, and the whole folder of
# modules is installed. A listed file that is missing stops the configuration; a file that is not listed stays behind.
#
# Without WITH_SUBDIR files land in qt-scripted-modules itself, with it in a folder there, named as the calling one.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(STUB "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(STUB_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to slicerMacroBuildScriptedModule(): ${STUB_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT STUB_NAME OR NOT STUB_SCRIPTS)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule() needs NAME and SCRIPTS")
  endif()

  set(stub_modules "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(stub_destination "${stub_modules}")
  set(stub_installed "${stub_modules}/")
  if(STUB_WITH_SUBDIR)
    get_filename_component(stub_folder "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    set(stub_destination "${stub_modules}/${stub_folder}")
    set(stub_installed "${stub_destination}")
  endif()

  set(stub_copies)
  foreach(stub_file IN LISTS STUB_SCRIPTS STUB_RESOURCES)
    set(stub_source "${CMAKE_CURRENT_SOURCE_DIR}/${stub_file}")
    if(NOT EXISTS "${stub_source}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule(${STUB_NAME}) given nonexistent file or directory '${stub_file}'")
    endif()
    if(IS_DIRECTORY "${stub_source}")
      message(FATAL_ERROR "slicerMacroBuildScriptedModule(${STUB_NAME}) cannot copy the directory '${stub_file}'")
    endif()
    add_custom_command(
      OUTPUT "${stub_destination}/${stub_file}"
      COMMAND "${CMAKE_COMMAND}" -E copy "${stub_source}" "${stub_destination}/${stub_file}"
      DEPENDS "${stub_source}"
      VERBATIM
      )
    list(APPEND stub_copies "${stub_destination}/${stub_file}")
  endforeach()
  add_custom_target(Copy${STUB_NAME}PythonFiles ALL DEPENDS ${stub_copies})
  install(DIRECTORY "${stub_installed}" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    COMPONENT RuntimeLibraries USE_SOURCE_PERMISSIONS)

  if(BUILD_TESTING AND STUB_WITH_GENERIC_TESTS)
    set(stub_test qSlicer${STUB_NAME}ModuleGenericTest)
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/${stub_test}.py" "")
    slicer_add_python_unittest(
      SCRIPT ${stub_test}.py
      SLICER_ARGS --no-main-window --disable-cli-modules --additional-module-path "${stub_modules}"
      TESTNAME_PREFIX nomainwindow_
      )
  endif()
endmacro()
