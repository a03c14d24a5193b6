#pragma once

/// One client: from its socket to the pipeline and back.

#include <cstddef>

#include "ashlar/runtime/ops/receive_stream.h"
#include "ashlar/runtime/sync/scope.h"
#include "ashlar/server/resp/pipeline.h"
#include "ashlar/server/resp/request_buffer.h"
#include "ashlar/server/resp/request_parser.h"

namespace ashlar::resp {

/// Receives, runs what is there as one batch, sends all its replies at once, and only then receives again: a
/// client that does not read is not read from. Requests are parsed where the kernel put them; only one that
/// is cut off is copied to a buffer of the connection's own.
///
/// What a client can hold: a request up to resp-request-bytes-max, growing as it arrives, replies of one
/// batch (about reply_batch_bytes and one more reply), and a share of resp-buffer-bytes-max with its shard's
/// others. While the memory cap is reached, who holds more than held_bytes_at_cap is not read from, and is
/// closed where there is no room for long or where nothing moves; small requests go on.
///
/// Owner: one shard. Lives in the frame of the task that runs it.
class Connection {
 public:
  Connection(Service& service, Socket socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// What a client may hold whatever the memory cap says.
  static constexpr std::size_t held_bytes_at_cap = 64 * 1024;

  /// Until the client leaves, is closed, or the server drains.
  Task<> run();

 private:
  enum class Stop : std::uint8_t { starved, alone, full, closing };

  bool welcome();
  Task<Result<>> converse(ReceiveStream& input);
  Task<Result<>> receive(ReceiveStream& input);
  Task<Result<>> receive_rest(ReceiveStream& input);
  Task<Result<>> run_batch(ReceivedBytes received);
  Stop run_some(MutableBytes& unread);
  void parse_again(MutableBytes unread) noexcept;
  Task<Result<>> send_replies();
  bool within_limits();
  bool must_wait_for_memory() noexcept;
  Task<Result<>> wait_for_memory();
  void account() noexcept;

  static constexpr std::size_t reply_batch_bytes = 1 << 20;
  static constexpr std::size_t big_request_bytes = 32 * 1024;  // worth receiving into its own memory

  Service& service_;
  Socket socket_;
  Session session_;
  RequestParser parser_;
  RequestBuffer partial_;
  Pipeline pipeline_;
  CancelScope all_;      // ends everything: CLIENT KILL, time-outs
  CancelScope waiting_;  // ends the wait for the next request only: draining
  std::size_t accounted_bytes_ = 0;
};

}  // namespace ashlar::resp
