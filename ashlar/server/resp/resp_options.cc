#include "ashlar/server/resp/resp_options.h"

#include "ashlar/base/options.h"

namespace ashlar::resp {

void describe(OptionSet& set, RespOptions& options) {
  set.add("resp", options.address,
          {.form = "ADDRESS:PORT", .help = "Where Redis clients connect; port 0 takes a free one"});
  set.add("resp-password", options.password,
          {.secret = true, .live = true, .help = "What AUTH asks for; empty: nothing is asked"});
  set.add("resp-protected-mode", options.protected_mode,
          {.live = true, .help = "Without a password, serve this machine only"});
  set.add("resp-clients-max", options.clients_max,
          {.min = 1, .max = 1'000'000, .live = true, .help = "Connections at one time; one more is refused"});
  set.add("resp-bulk-bytes-max", options.bulk_bytes_max,
          {.unit = Unit::bytes,
           .min = 1024,
           .max = kv::value_bytes_max,
           .live = true,
           .help = "Longest single argument of a command"});
  set.add("resp-request-bytes-max", options.request_bytes_max,
          {.unit = Unit::bytes,
           .min = 1 << 20,
           .max = 1 << 30,
           .live = true,
           .help = "Longest command in all, and longest transaction; a client that sends more is closed"});
  set.add("resp-reply-bytes-max", options.reply_bytes_max,
          {.unit = Unit::bytes,
           .min = 1 << 20,
           .max = std::uint64_t{1} << 34,
           .live = true,
           .help = "Longest single reply"});
  set.add("resp-buffer-bytes-max", options.shard_buffer_bytes_max,
          {.unit = Unit::bytes,
           .min = 1 << 20,
           .max = std::uint64_t{1} << 40,
           .live = true,
           .help = "Requests and replies that the clients of one shard may have under way; the client that "
                   "exceeds it is closed"});
  set.add(
      "resp-durability", options.durability,
      {.names = {"always", "everysec", "no"},
       .live = true,
       .help = "When a write is acknowledged: once it survives power loss (always), or at once, to be made "
               "durable within log.sync-period (everysec) or some time later (no); Redis' appendfsync"});
  set.add("resp-idle-timeout", options.idle_timeout,
          {.max = 1'000'000, .live = true, .help = "Closes a client that is silent for so long; 0: never"});
  set.add("resp-send-timeout", options.send_timeout,
          {.min = 1, .max = 86'400, .live = true, .help = "Closes a client that does not read its replies"});
}

}  // namespace ashlar::resp
