#include "bench/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "bench/machine.h"

namespace ashlar::bench {

namespace {

void sleep_briefly() {
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

/// In the child: never returns.
[[noreturn]] void become(char* const* arguments, const std::vector<int>& cores, int output) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(core, &set);
  ::sched_setaffinity(0, sizeof set, &set);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execvp(arguments[0], arguments);
  ::_exit(127);
}

}  // namespace

ScratchDirectory::ScratchDirectory(const std::string& parent) {
  path_ = parent + "/ashlar-bench-XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) path_.clear();
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<Process> Process::start(const std::vector<std::string>& arguments, const std::vector<int>& cores,
                               const std::string& output) {
  if (!is_installed(arguments[0])) return fail(Errc::not_found, "start a program");
  std::vector<char*> pointers;
  for (const std::string& each : arguments) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  const int out = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) return fail_errno(errno, "output of a program");
  const pid_t pid = ::fork();
  if (pid == 0) become(pointers.data(), cores, out);
  ::close(out);
  if (pid < 0) return fail_errno(errno, "start a program");
  return Process(pid);
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

Process::~Process() {
  if (!running()) return;
  ::kill(pid_, SIGTERM);
  (void)wait(10);
}

double Process::cpu_seconds() const {
  clockid_t clock;
  timespec time{};
  if (::clock_getcpuclockid(pid_, &clock) == 0) ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

bool Process::running() {
  return pid_ != 0 && !ended();
}

std::optional<int> Process::ended() {
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) return std::nullopt;
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<int> Process::wait(double seconds) {
  const double end = seconds_now() + seconds;
  for (;;) {
    if (const auto status = ended()) return *status;
    if (seconds_now() > end) break;
    sleep_briefly();
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
  return fail(Errc::timed_out, "a program");
}

Result<std::string> output_of(const std::vector<std::string>& arguments, const std::vector<int>& cores,
                              double seconds_max) {
  const ScratchDirectory scratch(std::filesystem::temp_directory_path());
  const std::string path = scratch.path() + "/output";
  Process process = TRY(Process::start(arguments, cores, path));
  if (TRY(process.wait(seconds_max)) != 0) return fail(Errc::io, "a program failed");
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool is_installed(const std::string& program) {
  if (program.contains('/')) return ::access(program.c_str(), X_OK) == 0;
  const char* path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "");
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (::access((directory + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

std::string beside_us(const std::string& program) {
  std::error_code ignored;
  return (std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / program).string();
}

std::uint16_t free_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ::bind(fd, reinterpret_cast<const sockaddr*>(&address), size);
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(fd);
  return ntohs(address.sin_port);
}

}  // namespace ashlar::bench
