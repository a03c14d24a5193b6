/// A program with one thread and an event loop of its own, which does the database's work as well.

#include <ashlar/embed/ashlar.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

int main(int argc, char** argv) {
  // No thread is started: this one is the database's only shard.
  auto opened = ashlar::Db::open(argc > 1 ? argv[1] : "./event-loop", {.shards = 1, .drive = true});
  if (!opened) return 1;
  ashlar::Db db = *std::move(opened);
  const auto descriptor = db.descriptor();
  if (!descriptor) return 1;

  const int ticks = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  const itimerspec every_ms{.it_interval = {0, 1'000'000}, .it_value = {0, 1'000'000}};
  timerfd_settime(ticks, 0, &every_ms, nullptr);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (const int fd : {*descriptor, ticks}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }

  constexpr int wanted = 10;
  int started = 0, durable = 0;
  while (durable < wanted) {
    const auto wait = db.poll();  // the database's turn
    const auto ms =
        std::min<std::chrono::nanoseconds>(wait, std::chrono::seconds(1)) / std::chrono::milliseconds(1);
    epoll_event event{};
    if (epoll_wait(epoll, &event, 1, static_cast<int>(ms)) != 1 || event.data.fd != ticks) continue;
    std::uint64_t expirations = 0;  // the program's own event: something to be stored
    if (read(ticks, &expirations, sizeof expirations) < 0 || started == wanted) continue;
    const std::string key = "tick" + std::to_string(started++);
    if (!db.put_async(key, "stored", [&](ashlar::Result<> done) { durable += done ? 1 : 0; })) return 1;
  }
  std::printf("durable: %d of %d\n", durable, started);
  // Calls that wait do the database's work until they are answered.
  std::printf("tick7: %s\n", db.get("tick7").value().value_or("none").c_str());
  close(epoll);
  close(ticks);
  return db.close() ? 0 : 1;
}
