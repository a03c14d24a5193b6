# What a program needs that embeds Ashlar: libashlar as a static and as a shared library, the public headers,
# the CMake package (find_package(Ashlar), then link ashlar::ashlar) and the pkg-config file; and as a component of its
# own what a program needs whose coroutines run on Ashlar's shards (find_package(Ashlar COMPONENTS coroutines)).

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(ASHLAR_PUBLIC_HEADERS
  ashlar/base/error.h
  ashlar/embed/ashlar.h
  ashlar/embed/ashlar_c.h
  ashlar/embed/ashlar_c_options.h
  ashlar/embed/ashlar_c_transaction.h
  ashlar/embed/ashlar_c_types.h
  ashlar/embed/async.h
  ashlar/embed/db.h
  ashlar/embed/family.h
  ashlar/embed/iterator.h
  ashlar/embed/merge_operator.h
  ashlar/embed/options.h
  ashlar/embed/reader.h
  ashlar/embed/receipt.h
  ashlar/embed/snapshot.h
  ashlar/embed/transaction.h
  ashlar/embed/write_batch.h
  ashlar/kv/durability.h)

# Adds what `target` links, directly or not: to `modules` those that have sources, to `foreign` other libraries.
function(ashlar_closure target)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    get_target_property(links ${target} INTERFACE_LINK_LIBRARIES)
  else()
    list(APPEND modules ${target})
    get_target_property(links ${target} LINK_LIBRARIES)
  endif()
  foreach(link IN LISTS links)
    if(NOT link OR link STREQUAL "ashlar_options" OR "${link}" IN_LIST modules OR "${link}" IN_LIST foreign)
      continue()
    elseif(link MATCHES "^ashlar_")
      ashlar_closure(${link})
    else()
      list(APPEND foreign ${link})
    endif()
  endforeach()
  set(modules ${modules} PARENT_SCOPE)
  set(foreign ${foreign} PARENT_SCOPE)
endfunction()

set(modules)
set(foreign)
ashlar_closure(ashlar_embed)
list(TRANSFORM modules REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)

add_library(ashlar_static STATIC ${objects})
add_library(ashlar_shared SHARED ${objects})
foreach(library ashlar_static ashlar_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME ashlar LINKER_LANGUAGE CXX)
  target_compile_features(${library} INTERFACE cxx_std_23)
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()

# Inside of the library everything sees everything; outside, what libashlar.map names.
set(map ${PROJECT_SOURCE_DIR}/ashlar/embed/libashlar.map)
target_link_options(ashlar_shared PRIVATE -Wl,--version-script=${map})
set_target_properties(ashlar_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})
target_link_libraries(ashlar_shared PRIVATE ashlar_options ${foreign})

# Who links the static library links what it needs too, by the names of the linker.
set(names)
foreach(library IN LISTS foreign)
  if(library MATCHES "^PkgConfig::(.+)")
    list(APPEND names ${${CMAKE_MATCH_1}_LIBRARIES})
  elseif(library STREQUAL "Threads::Threads")
    list(APPEND names pthread)
  else()
    string(REGEX REPLACE ".*::" "" name ${library})
    list(APPEND names ${name})
  endif()
endforeach()
list(REMOVE_DUPLICATES names)
target_link_libraries(ashlar_static INTERFACE ${names} dl)
list(TRANSFORM names PREPEND "-l")
list(JOIN names " " ASHLAR_STATIC_LIBS)

add_library(ashlar::ashlar ALIAS ashlar_shared)

# For programs whose coroutines run on Ashlar's shards: the static library with the headers that coroutines.h reaches.
add_library(ashlar_coroutines INTERFACE)
target_link_libraries(ashlar_coroutines INTERFACE ashlar_static)
add_library(ashlar::coroutines ALIAS ashlar_coroutines)

set(package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/Ashlar)
install(TARGETS ashlar_shared ashlar_static EXPORT AshlarTargets COMPONENT library)
install(EXPORT AshlarTargets NAMESPACE ashlar:: DESTINATION ${package_directory} COMPONENT library)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/AshlarConfigVersion.cmake COMPATIBILITY SameMinorVersion)

# pkg-config files say where things are relative to themselves, so that an installed tree may be moved.
foreach(kind INCLUDE LIB)
  set(ASHLAR_PC_${kind}DIR ${CMAKE_INSTALL_${kind}DIR})
  if(NOT IS_ABSOLUTE "${ASHLAR_PC_${kind}DIR}")
    string(PREPEND ASHLAR_PC_${kind}DIR "\${prefix}/")
  endif()
endforeach()
set(ASHLAR_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  set(ASHLAR_PC_PREFIX "\${pcfiledir}/${up}")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/ashlar.pc.in ${PROJECT_BINARY_DIR}/ashlar.pc @ONLY)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/AshlarConfig.cmake ${PROJECT_BINARY_DIR}/AshlarConfigVersion.cmake
        DESTINATION ${package_directory} COMPONENT library)
install(FILES ${PROJECT_BINARY_DIR}/ashlar.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
foreach(header IN LISTS ASHLAR_PUBLIC_HEADERS)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${folder}
          COMPONENT library)
endforeach()

configure_file(${PROJECT_SOURCE_DIR}/cmake/ashlar-coroutines.pc.in ${PROJECT_BINARY_DIR}/ashlar-coroutines.pc @ONLY)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/AshlarCoroutines.cmake DESTINATION ${package_directory} COMPONENT coroutines)
install(FILES ${PROJECT_BINARY_DIR}/ashlar-coroutines.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
        COMPONENT coroutines)
install(CODE "set(SOURCE [[${PROJECT_SOURCE_DIR}]])\nset(INCLUDE [[${CMAKE_INSTALL_INCLUDEDIR}]])" COMPONENT coroutines)
install(SCRIPT ${PROJECT_SOURCE_DIR}/cmake/install_coroutines.cmake COMPONENT coroutines)

add_test(NAME embed.install
  COMMAND python3 ${PROJECT_SOURCE_DIR}/ashlar/embed/install_test.py --build ${PROJECT_BINARY_DIR}
          --cmake ${CMAKE_COMMAND} --cc ${CMAKE_C_COMPILER} --cxx ${CMAKE_CXX_COMPILER}
          "--sanitize=${ASHLAR_SANITIZE}")
set_tests_properties(embed.install PROPERTIES TIMEOUT 600 SKIP_RETURN_CODE 77)
