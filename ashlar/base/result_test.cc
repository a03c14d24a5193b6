#include "ashlar/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "ashlar/base/strong.h"

namespace ashlar {
namespace {

static_assert(std::is_trivially_copyable_v<Error> && sizeof(Error) == 32);

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Errc::invalid, "half", {.object = 1, .offset = 7});
  return n / 2;
}
Result<int> quarter(int n) {
  const int once = TRY(half(n));
  return TRY(half(once));
}
Result<std::unique_ptr<int>> boxed(int n) {
  return std::make_unique<int>(TRY(half(n)));
}
Result<int> unboxed(int n) {
  const auto box = TRY(boxed(n));  // moves out of the Result
  return *box;
}

TEST(Result, TryPassesOnTheValueOrTheError) {
  EXPECT_EQ(quarter(8), 2);
  EXPECT_EQ(unboxed(8), 4);
  const auto failed = quarter(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::invalid);
  EXPECT_EQ(failed.error().offset, 7u);
}

TEST(Result, AnErrorReadsAsOneLine) {
  EXPECT_EQ((Error{.code = Errc::closed, .where = "receive"}).to_string(), "receive: closed");
  EXPECT_EQ((Error{.code = Errc::corrupt, .where = "root"}).to_string(), "root: corrupt, object 0 at 0");
  EXPECT_EQ(error_from_errno(ENOSPC, "log append", {.object = 12, .offset = 4096}).to_string(),
            "log append: no space (ENOSPC: No space left on device), object 12 at 4096");
}

TEST(Result, CodesFollowFromErrno) {
  EXPECT_EQ(error_from_errno(ENOENT, "").code, Errc::not_found);
  EXPECT_EQ(error_from_errno(EROFS, "").code, Errc::permission);
  EXPECT_EQ(error_from_errno(EDQUOT, "").code, Errc::no_space);
  EXPECT_EQ(error_from_errno(EADDRINUSE, "").code, Errc::busy);
  EXPECT_EQ(error_from_errno(ECONNRESET, "").code, Errc::closed);
  EXPECT_EQ(error_from_errno(EIO, "").code, Errc::io);
  EXPECT_EQ(error_from_errno(EIO, "").native, EIO);
}

using Lba = Strong<struct LbaTag, std::uint64_t>;
using Length = Strong<struct LengthTag, std::uint64_t>;
static_assert(!std::is_convertible_v<Lba, Length> && !std::is_convertible_v<std::uint64_t, Lba>);

TEST(Strong, ComparesAndHashesAsItsNumber) {
  EXPECT_LT(Lba(1), Lba(2));
  EXPECT_EQ(Lba(), Lba(0));
  EXPECT_EQ(std::hash<Lba>{}(Lba(7)), std::hash<std::uint64_t>{}(7));
}

}  // namespace
}  // namespace ashlar
