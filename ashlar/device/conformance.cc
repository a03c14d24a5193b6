#include "ashlar/device/conformance.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "ashlar/base/random.h"
#include "ashlar/runtime/ops/file.h"
#include "ashlar/runtime/shard/runtime.h"

namespace ashlar::testing {

namespace {

std::string expand(std::string text, std::string_view mark, const std::string& path) {
  for (std::size_t at; (at = text.find(mark)) != std::string::npos;)
    text.replace(at, mark.size(), quote_target(path));
  return text;
}

Task<Result<>> write_zeroes(const std::string& path, std::uint64_t bytes) {
  File file = CO_TRY(co_await File::open(path, O_RDWR | O_CREAT));
  const Memory zeroes(64 * 1024);
  for (std::uint64_t at = 0; at < bytes; at += zeroes.bytes().size())
    CO_TRY(co_await file.write(zeroes.bytes(), at));
  CO_TRY(co_await file.sync());
  CO_TRY(co_await file.close());
  co_return co_await sync_directory(std::filesystem::path(path).parent_path());
}

/// A kind that optional parts of the build would bring.
std::string missing_kind(const Spec& spec) {
  if (registry_under_test().find(spec.kind) == nullptr) return spec.kind;
  for (const Spec& child : spec.children) {
    if (std::string missing = missing_kind(child); !missing.empty()) return missing;
  }
  return {};
}

Task<> keep(Task<Result<>> task, std::optional<Result<>>* into) {
  into->emplace(co_await task);
}

}  // namespace

Memory::Memory(std::size_t bytes)
    : data_(static_cast<std::byte*>(std::aligned_alloc(4096, (bytes + 4095) & ~std::size_t{4095}))),
      size_(bytes) {
  std::memset(data_.get(), 0, bytes);
}
void Memory::Free::operator()(std::byte* data) const noexcept {
  std::free(data);
}

Memory& Memory::fill(std::uint64_t number) {
  Random random(number);
  for (std::size_t at = 0; at + 8 <= size_; at += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(data_.get() + at, &word, 8);
  }
  return *this;
}

bool Memory::all(std::byte value) const noexcept {
  for (const std::byte byte : bytes()) {
    if (byte != value) return false;
  }
  return true;
}

void PrintTo(const Setup& setup, std::ostream* out) {
  *out << setup.kind.spec << " on " << setup.shards << " shards of back end "
       << static_cast<int>(setup.where);
}

std::string name_of(const ::testing::TestParamInfo<Setup>& info) {
  const char* const where = info.param.where == Where::uring   ? "uring"
                            : info.param.where == Where::epoll ? "epoll"
                                                               : "simulated";
  return std::string(info.param.kind.name) + "_on_" + where + "_" + std::to_string(info.param.shards);
}

std::vector<Setup> setups(bool (*which)(const Setup&)) {
  std::vector<Setup> found;
  for (const KindUnderTest& kind : kinds_under_test()) {
    for (const Where where : {Where::uring, Where::epoll, Where::simulated}) {
      if ((kind.where & static_cast<unsigned>(where)) == 0) continue;
      for (const unsigned shards : {1u, 3u}) {
        if (which({kind, where, shards})) found.push_back({kind, where, shards});
      }
    }
  }
  return found;
}

std::string DeviceConformance::spec() const {
  return expand(expand(GetParam().kind.spec, "{file}", file_), "{loop}", loop_ ? loop_->path() : "");
}

void DeviceConformance::SetUp() {
  if (const std::string missing = missing_kind(*parse_spec(spec())); !missing.empty())
    GTEST_SKIP() << "this build has no '" << missing << "'";
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread of the test runs yet
  const char* const given = std::getenv("ASHLAR_SEED");
  seed_ = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  RecordProperty("seed", static_cast<int>(seed_));
  if (simulated()) {
    directory_ = "/test";
    disk_.make_directory(directory_);
    disk_.sync_directory("/", disk_.name_changes());
  } else {
    std::string pattern = ::testing::TempDir() + "ashlar_device_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  file_ = directory_ + "/disk";
  run_bare([this] { return write_zeroes(file_, file_bytes); });
  if (!std::string_view(GetParam().kind.spec).contains("{loop}")) return;
  auto attached = LoopDevice::attach(file_, 512);
  if (!attached) GTEST_SKIP() << attached.error().to_string();
  loop_.emplace(*std::move(attached));
}

void DeviceConformance::TearDown() {
  loop_.reset();
  if (!simulated() && !directory_.empty()) std::filesystem::remove_all(directory_);
}

Task<Result<>> DeviceConformance::with_device(const Body& body) {
  const std::string text = spec();
  auto device = co_await registry_under_test().open(text);
  if (!device) {
    ADD_FAILURE() << device.error().show(text);
    co_return Result<>{};
  }
  auto channel = co_await (*device)->channel();
  Result<> result;
  if (channel) {
    result = co_await body(**device, **channel);
  } else {
    result = std::unexpected(channel.error());
  }
  co_await (*device)->close();
  co_return result;
}

void DeviceConformance::run(const Body& body) {
  run_bare([&] { return with_device(body); });
}

void DeviceConformance::run_bare(const std::function<Task<Result<>>()>& body) {
  std::optional<Result<>> result;
  if (simulated()) {
    sim::World world({.shards = shards(), .environment = {.seed = seed_}, .shard = {}}, disk_);
    world_ = &world;
    if (prepare) prepare(world);
    world.spawn(0, world.on(0, [&] { return keep(body(), &result); }));
    ASSERT_EQ(world.run_to_end(), sim::World::Outcome::done) << world.report();
    powered_ = world.environment().powered();
    world_ = nullptr;
    prepare = nullptr;
  } else {
    RuntimeOptions options;
    options.shards = shards();
    options.pin = false;
    options.backend = GetParam().where == Where::uring ? BackendKind::uring : BackendKind::epoll;
    Runtime runtime(options);
    result = runtime.run([&](Shard& shard) -> Task<Result<>> {
      return shard.id() == ShardId(0) ? body() : []() -> Task<Result<>> { co_return Result<>{}; }();
    });
  }
  ASSERT_TRUE(result.has_value());
  EXPECT_TRUE(*result) << result->error().to_string() << ", seed " << seed_;
}

}  // namespace ashlar::testing
