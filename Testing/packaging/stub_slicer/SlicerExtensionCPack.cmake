# Slicer skips the packaging, without an error, when the extension is not named as the project.
if(NOT "${EXTENSION_NAME}" STREQUAL "${PROJECT_NAME}")
  message(FATAL_ERROR "The extension is named ${EXTENSION_NAME}, the project ${PROJECT_NAME}")
endif()
set(CPACK_GENERATOR "TGZ")
include(CPack)
