#include "ashlar/runtime/ops/page_guard.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

namespace ashlar {
namespace {

const std::size_t page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));

/// Mapped memory whose first `good` of `all` pages are there.
class ShortFile {
 public:
  ShortFile(std::size_t good, std::size_t all) : bytes_(all * page_bytes) {
    const int file = ::memfd_create("short", MFD_CLOEXEC);
    EXPECT_EQ(::ftruncate(file, static_cast<off_t>(good * page_bytes)), 0);
    data_ = static_cast<std::byte*>(::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
    EXPECT_NE(data_, MAP_FAILED);
    ::close(file);
  }
  ShortFile(const ShortFile&) = delete;
  ShortFile& operator=(const ShortFile&) = delete;
  ~ShortFile() { ::munmap(data_, bytes_); }

  std::byte* page(std::size_t number) const noexcept { return data_ + number * page_bytes; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  std::size_t bytes_;
  std::byte* data_;
};

int read_byte(const std::byte* at) noexcept {
  return static_cast<int>(*const_cast<const volatile std::byte*>(at));
}

TEST(PageGuard, MarksTheLowestPageThatFailed) {
  const ShortFile file(1, 8);
  PageGuard* guard = PageGuard::watch(file.page(0), file.bytes());
  ASSERT_NE(guard, nullptr);
  *file.page(0) = std::byte{7};
  EXPECT_TRUE(guard->ok());
  EXPECT_EQ(read_byte(file.page(5) + 100), 0);
  EXPECT_EQ(guard->first_bad(), 5 * page_bytes);
  *file.page(3) = std::byte{9};
  EXPECT_EQ(guard->first_bad(), 3 * page_bytes);
  EXPECT_EQ(read_byte(file.page(6)), 0);
  EXPECT_EQ(guard->first_bad(), 3 * page_bytes);
  EXPECT_EQ(read_byte(file.page(0)), 7);
  PageGuard::release(*guard);

  const ShortFile again(1, 2);
  guard = PageGuard::watch(again.page(0), again.bytes());
  EXPECT_TRUE(guard->ok()) << "a guard that was used before starts afresh";
  PageGuard::release(*guard);
}

TEST(PageGuard, AnyThreadMayFail) {
  constexpr unsigned threads_count = 4, files_count = 100;  // more than one piece of the table
  std::vector<std::unique_ptr<ShortFile>> files;
  std::vector<PageGuard*> guards;
  for (unsigned i = 0; i < files_count; ++i) {
    files.push_back(std::make_unique<ShortFile>(1, 4));
    guards.push_back(PageGuard::watch(files.back()->page(0), files.back()->bytes()));
    ASSERT_NE(guards.back(), nullptr);
  }
  std::atomic<unsigned> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < threads_count; ++t) {
    threads.emplace_back([&] {
      for (unsigned i = 0; i < files_count; i += 2) {
        // Whoever has read zeros that are not the file's sees that.
        if (read_byte(files[i]->page(2)) != 0 || guards[i]->ok()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  for (unsigned i = 0; i < files_count; ++i) {
    EXPECT_EQ(guards[i]->ok(), i % 2 == 1);
    PageGuard::release(*guards[i]);
  }
}

void end_by_bus_error() {
  // Not what a sanitizer, or the test's own handler, makes of it.
  struct sigaction plain{};
  plain.sa_handler = SIG_DFL;
  ::sigaction(SIGBUS, &plain, nullptr);
  const ShortFile guarded(1, 2), foreign(1, 2);
  PageGuard* guard = PageGuard::watch(guarded.page(0), guarded.bytes());
  if (guard == nullptr || read_byte(guarded.page(1)) != 0) ::_exit(1);
  PageGuard::release(*guard);
  read_byte(foreign.page(1));
  ::_exit(2);
}

TEST(PageGuardDeathTest, OtherFaultsEndTheProcessAsEver) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";  // the handler is installed once per process
  EXPECT_EXIT(end_by_bus_error(), ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace ashlar
