# Runs PROGRAM on a fresh directory and compares what it prints.
file(REMOVE_RECURSE ${DATA})
execute_process(COMMAND ${PROGRAM} ${DATA} OUTPUT_VARIABLE printed RESULT_VARIABLE status)
file(REMOVE_RECURSE ${DATA})
file(READ ${OUTPUT} expected)
if(NOT status EQUAL 0 OR NOT printed STREQUAL expected)
  message(FATAL_ERROR "status ${status}, printed:\n${printed}expected:\n${expected}")
endif()
