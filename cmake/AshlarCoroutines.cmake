# The runtime and the engine's interface are part of the program: the shared library does not show them.
if(NOT TARGET ashlar::coroutines)
  add_library(ashlar::coroutines INTERFACE IMPORTED)
  set_target_properties(ashlar::coroutines PROPERTIES INTERFACE_LINK_LIBRARIES ashlar::ashlar_static)
endif()
