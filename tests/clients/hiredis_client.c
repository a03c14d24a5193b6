/* hiredis against the server: single commands, binary values and a pipeline. Exit status 0 if every reply is right. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "hiredis_client: %s\n", what);
  exit(1);
}

int main(int argc, char** argv) {
  require(argc == 2, "hiredis_client PORT");
  redisContext* context = redisConnect("127.0.0.1", atoi(argv[1]));
  require(context != NULL && !context->err, "connect");

  redisReply* reply = redisCommand(context, "SET %b %b", "a\0b", (size_t)3, "\r\n\0", (size_t)3);
  require(reply != NULL && reply->type == REDIS_REPLY_STATUS && !strcmp(reply->str, "OK"), "SET");
  freeReplyObject(reply);
  reply = redisCommand(context, "GET %b", "a\0b", (size_t)3);
  require(reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == 3 && !memcmp(reply->str, "\r\n\0", 3),
          "GET");
  freeReplyObject(reply);
  reply = redisCommand(context, "INCR %b", "a\0b", (size_t)3);
  require(reply != NULL && reply->type == REDIS_REPLY_ERROR, "INCR of a string");
  freeReplyObject(reply);

  enum { commands = 10000 };
  for (int i = 0; i < commands; ++i) redisAppendCommand(context, "INCR hiredis:counter");
  for (int i = 0; i < commands; ++i) {
    require(redisGetReply(context, (void**)&reply) == REDIS_OK, "pipelined reply");
    require(reply->type == REDIS_REPLY_INTEGER && reply->integer == i + 1, "replies in order");
    freeReplyObject(reply);
  }
  redisFree(context);
  return 0;
}
