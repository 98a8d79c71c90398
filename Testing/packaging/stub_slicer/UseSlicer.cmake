# What include(${Slicer_USE_FILE}) brings: the folders of an extension, its name, tests, and the macros.

if(NOT DEFINED EXTENSION_NAME)
  set(EXTENSION_NAME ${PROJECT_NAME})
endif()
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_INSTALL_ROOT}${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")

include(CTest)
include("${CMAKE_CURRENT_LIST_DIR}/slicerMacroBuildScriptedModule.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/slicer_add_python_unittest.cmake")
