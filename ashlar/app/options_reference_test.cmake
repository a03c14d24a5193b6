# docs/options.md is what `ashlar options` prints.
execute_process(COMMAND ${PROGRAM} options OUTPUT_VARIABLE printed COMMAND_ERROR_IS_FATAL ANY)
file(READ ${PAGE} page)
if(NOT printed STREQUAL page)
  message(FATAL_ERROR "docs/options.md is stale: ashlar options > docs/options.md")
endif()
