# A page of docs/ is what a command of the program prints: -DPROGRAM=ashlar -DCOMMAND=options -DPAGE=docs/options.md
execute_process(COMMAND ${PROGRAM} ${COMMAND} OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
file(READ ${PAGE} page)
if(NOT printed STREQUAL page)
  message(FATAL_ERROR "stale: ashlar ${COMMAND} > ${PAGE}")
endif()
