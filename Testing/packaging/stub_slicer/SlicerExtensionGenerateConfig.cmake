# Writes what Slicer would know of the extension, one NAME=value a line, for the tests to read.
set(stub_metadata "EXTENSION_NAME=${EXTENSION_NAME}\n")
foreach(stub_name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${stub_name}}" STREQUAL "")
    message(FATAL_ERROR "EXTENSION_${stub_name} is not set")
  endif()
  string(APPEND stub_metadata "EXTENSION_${stub_name}=${EXTENSION_${stub_name}}\n")
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/extension_metadata.txt" "${stub_metadata}")
