# ashlar_module(NAME
#   SOURCES  a.cc …     the library ashlar_NAME
#   DEPS     base …     other modules, lower in rank
#   LIBS     fmt::fmt … foreign libraries
#   TESTS    a_test.cc … one test program, ashlar_NAME_test
#   TEST_DEPS / TEST_LIBS   what only the tests need
#   FUZZERS  a_fuzz.cc … one libFuzzer program each, when ASHLAR_FUZZ is on; otherwise each is
#                        linked with a driver that replays its corpus (FOLDER/corpus/a_fuzz/*) as a test
# )

function(ashlar_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS;LIBS;TESTS;TEST_DEPS;TEST_LIBS;FUZZERS" ${ARGN})
  set(target ashlar_${name})
  list(TRANSFORM M_DEPS PREPEND ashlar_)
  list(TRANSFORM M_TEST_DEPS PREPEND ashlar_)

  if(M_SOURCES)
    add_library(${target} STATIC ${M_SOURCES})
    target_link_libraries(${target} PUBLIC ashlar_options ${M_DEPS} ${M_LIBS})
  else()
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE ashlar_options ${M_DEPS} ${M_LIBS})
  endif()

  if(M_TESTS)
    add_executable(${target}_test ${M_TESTS})
    target_link_libraries(${target}_test PRIVATE ${target} ${M_TEST_DEPS} ${M_TEST_LIBS} GTest::gmock GTest::gtest_main)
    gtest_discover_tests(${target}_test TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 300)
  endif()

  foreach(source ${M_FUZZERS})
    get_filename_component(fuzzer ${source} NAME_WE)
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${fuzzer})
    if(ASHLAR_FUZZ)
      add_executable(${fuzzer} ${source})
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
    else()
      add_executable(${fuzzer} ${source} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_corpus.cc)
      add_test(NAME fuzz.${fuzzer}.corpus COMMAND ${fuzzer} ${corpus})
    endif()
    target_link_libraries(${fuzzer} PRIVATE ${target})
  endforeach()
endfunction()
