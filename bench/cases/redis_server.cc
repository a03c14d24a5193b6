#include "bench/cases/redis_server.h"

#include <cstdlib>
#include <thread>

#include "bench/machine.h"

namespace ashlar::bench {

namespace {

constexpr double client_seconds_max = 300;

/// The second field of the last line of `redis-benchmark --csv`: requests per second.
Result<double> parse_rate(const std::string& csv) {
  const std::size_t line = csv.rfind("\n\"");
  const std::size_t begin = csv.find("\",\"", line == csv.npos ? 0 : line);
  if (begin == csv.npos) return fail(Errc::invalid, "output of redis-benchmark");
  const double rate = std::strtod(csv.c_str() + begin + 3, nullptr);
  if (rate <= 0) return fail(Errc::invalid, "output of redis-benchmark");
  return rate;
}

}  // namespace

Result<std::unique_ptr<RedisServer>> RedisServer::start_ashlar(const std::string& data, Sync sync) {
  auto directory = std::make_unique<ScratchDirectory>(data);
  const std::uint16_t port = free_port();
  Process process =
      TRY(Process::start({beside_us("ashlar"), "serve", "--data", "dir:" + directory->path() + "/data",
                          "--resp", "127.0.0.1:" + std::to_string(port), "--shards", "1"},
                         {cores().front()}));
  std::unique_ptr<RedisServer> server(new RedisServer(std::move(directory), std::move(process), port));
  TRY(server->wait_until_ready());
  if (sync == Sync::none) TRY(server->command({"config", "set", "appendfsync", "no"}));
  return server;
}

Result<std::unique_ptr<RedisServer>> RedisServer::start_redis(const std::string& data, Sync sync) {
  auto directory = std::make_unique<ScratchDirectory>(data);
  const std::uint16_t port = free_port();
  Process process = TRY(Process::start(
      {"redis-server", "--port", std::to_string(port), "--bind", "127.0.0.1", "--dir", directory->path(),
       "--save", "", "--appendonly", sync == Sync::always ? "yes" : "no", "--appendfsync", "always"},
      {cores().front()}));
  std::unique_ptr<RedisServer> server(new RedisServer(std::move(directory), std::move(process), port));
  TRY(server->wait_until_ready());
  return server;
}

Result<std::string> RedisServer::command(const std::vector<std::string>& words) const {
  std::vector<std::string> arguments = {"redis-cli", "-e", "-p", std::to_string(port_)};
  arguments.insert(arguments.end(), words.begin(), words.end());
  return output_of(arguments, {cores().back()}, 10);
}

Result<> RedisServer::wait_until_ready() {
  const double end = seconds_now() + 20;
  while (process_.running() && seconds_now() < end) {
    const auto answer = command({"ping"});
    if (answer && answer->starts_with("PONG")) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return fail(Errc::timed_out, "start of a server");
}

Result<Sample> RedisServer::run(const RedisLoad& load) {
  const double cpu = process_.cpu_seconds();
  const std::string csv = TRY(output_of(
      {"redis-benchmark", "-h", "127.0.0.1", "-p", std::to_string(port_), "-t", load.command, "-c",
       std::to_string(load.clients), "-P", std::to_string(load.pipeline), "-n", std::to_string(load.requests),
       "-d", std::to_string(value_bytes), "-r", std::to_string(key_space), "--csv"},
      {cores().back()}, client_seconds_max));
  const double used = process_.cpu_seconds() - cpu;
  return Sample{.value = TRY(parse_rate(csv)),
                .server_cpu_us = used * 1e6 / static_cast<double>(load.requests)};
}

std::string redis_version() {
  const auto text = output_of({"redis-server", "--version"}, cores(), 10);
  if (!text) return "";
  const std::size_t begin = text->find("v=");
  return begin == text->npos ? "redis-server"
                             : "redis-server " + text->substr(begin + 2, text->find(' ', begin) - begin - 2);
}

}  // namespace ashlar::bench
