# project() wants compilers, which a built Slicer needs from its users but a scripted extension never runs. Any program
# that exists will do, so that the tests need none and configure in no time.
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER "${CMAKE_COMMAND}")
  set(CMAKE_${language}_COMPILER_FORCED TRUE)
endforeach()
