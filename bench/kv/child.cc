#include "bench/kv/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <limits>

#include <nlohmann/json.hpp>

namespace ashlar::bench {

namespace {

using Json = nlohmann::ordered_json;

std::string to_text(const Sample& sample) {
  Json series = Json::array(), columns = Json::array();
  for (const Point& each : sample.series) series.push_back({each.seconds, each.rate, each.longest_ms});
  for (const auto& [name, value] : sample.columns) columns.push_back({name, value});
  return Json{{"value", sample.value}, {"columns", columns}, {"series", series}}.dump();
}

Sample from_text(const std::string& text) {
  const Json json = Json::parse(text);
  Sample sample{.value = json["value"]};
  for (const Json& each : json["columns"]) {
    const auto value = each[1].is_null() ? std::numeric_limits<double>::quiet_NaN() : each[1].get<double>();
    sample.columns.emplace_back(each[0].get<std::string>(), value);
  }
  for (const Json& each : json["series"]) sample.series.push_back({each[0], each[1], each[2]});
  return sample;
}

/// The child's end of it; `say` sends a text to the parent.
using Say = std::function<void(const std::string&)>;

struct Child {
  pid_t pid = 0;
  int from = -1;
};

Result<Child> start(const std::function<int(const Say&)>& work) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
  std::fflush(nullptr);  // or the child would print it once more
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno(errno, "fork");
  if (pid != 0) {
    ::close(pipe[1]);
    return Child{pid, pipe[0]};
  }
  ::close(pipe[0]);
  const int status = work([&](const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t wrote = ::write(pipe[1], text.data() + at, text.size() - at);
      if (wrote <= 0) return;
      at += static_cast<std::size_t>(wrote);
    }
  });
  std::fflush(nullptr);
  ::_exit(status);
}

/// All that it says, or until `enough`.
std::string listen(int from, const std::function<void()>& watch, std::size_t enough) {
  constexpr int interval_ms = 250;
  std::string text;
  std::array<char, 4096> some;
  while (text.size() < enough) {
    pollfd waiting{.fd = from, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, watch ? interval_ms : -1) == 0) {
      watch();
      continue;
    }
    const ssize_t got = ::read(from, some.data(), some.size());
    if (got <= 0) break;
    text.append(some.data(), static_cast<std::size_t>(got));
  }
  return text;
}

int print_error(const Error& error) {
  std::fprintf(stderr, "%s\n", error.to_string().c_str());
  return 1;
}

}  // namespace

Result<Sample> in_child(const std::function<Result<Sample>()>& work, const std::function<void()>& watch) {
  const Child child = TRY(start([&](const Say& say) {
    const Result<Sample> sample = work();
    if (!sample) return print_error(sample.error());
    say(to_text(*sample));
    return 0;
  }));
  const std::string text = listen(child.from, watch, std::numeric_limits<std::size_t>::max());
  ::close(child.from);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  if (status != 0 || text.empty()) return fail(Errc::io, "the process of a measurement");
  return from_text(text);
}

Result<> in_killed_child(const std::function<Result<>(const std::function<void()>&)>& work) {
  const Child child = TRY(start([&](const Say& say) {
    const Result<> result = work([&] { say("."); });
    return result ? 0 : print_error(result.error());
  }));
  const bool ready = !listen(child.from, {}, 1).empty();
  ::close(child.from);
  ::kill(child.pid, SIGKILL);
  int status = 0;
  ::waitpid(child.pid, &status, 0);
  if (!ready || !WIFSIGNALED(status)) return fail(Errc::io, "the process to be killed");
  return {};
}

}  // namespace ashlar::bench
