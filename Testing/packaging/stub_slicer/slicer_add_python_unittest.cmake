# Registers py_<prefix><name> with CTest: the unittest classes of a script, run in Slicer.
function(slicer_add_python_unittest)
  cmake_parse_arguments(STUB "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${STUB_SCRIPT}" AND NOT EXISTS "${CMAKE_CURRENT_BINARY_DIR}/${STUB_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest() given nonexistent script '${STUB_SCRIPT}'")
  endif()
  get_filename_component(name "${STUB_SCRIPT}" NAME_WE)
  set(folders "['${CMAKE_CURRENT_BINARY_DIR}', '${CMAKE_CURRENT_SOURCE_DIR}']")
  add_test(
    NAME py_${STUB_TESTNAME_PREFIX}${name}
    COMMAND "${Slicer_LAUNCHER_EXECUTABLE}" --no-splash --testing ${STUB_SLICER_ARGS}
      --python-code "import slicer.testing; slicer.testing.runUnitTest(${folders}, '${name}')"
    )
endfunction()
