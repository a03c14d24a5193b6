#include "ashlar/layer/fault/fault_plan.h"

#include <charconv>

#include "ashlar/base/options.h"
#include "ashlar/base/units.h"

namespace ashlar {

namespace {

struct Rule {
  const char* option;  ///< null: not by chance
  const char* help;
};

// By fault.
constexpr Rule rules[fault_count] = {
    {"read-error", "of a read to fail"},
    {"write-error", "of a write, a write of zeroes or a trim to fail undone"},
    {"flush-error", "of a flush to fail; what a cache held is lost in part"},
    {"torn", "of a write of several blocks to be done in part, and to fail"},
    {"torn-acknowledged", "of a write of several blocks to be done in part, and to be acknowledged"},
    {"lost", "of a write to be acknowledged without being done"},
    {"lost-flush", "of a flush to be acknowledged without being done"},
    {"misdirected", "of a write to go elsewhere"},
    {"misdirected-read", "of a read to return what is elsewhere"},
    {"corrupt-write", "of a write to store one bit flipped"},
    {"corrupt", "of a read to return one bit flipped"},
    {"slow", "of a request to begin late"},
    {nullptr, nullptr},
};

}  // namespace

const char* to_string(Fault fault) noexcept {
  const char* const name = rules[static_cast<std::size_t>(fault)].option;
  return name == nullptr ? "bad" : name;
}

std::optional<Chance> Chance::parse(std::string_view text) noexcept {
  Chance chance;
  const char* const end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, chance.hits);
  if (error != std::errc{}) return std::nullopt;
  if (at != end) {
    if (*at != '/') return std::nullopt;
    const auto [rest, wrong] = std::from_chars(at + 1, end, chance.of);
    if (wrong != std::errc{} || rest != end) return std::nullopt;
  }
  if (chance.of == 0 || chance.hits > chance.of) return std::nullopt;
  return chance;
}

void describe(OptionSet& set, FaultOptions& options) {
  set.add("seed", options.seed, {.help = "of every chance; 0: another one each time"});
  for (std::size_t fault = 0; fault < fault_count; ++fault) {
    if (rules[fault].option == nullptr) continue;
    options.chances[fault] = "0";
    set.add(rules[fault].option, options.chances[fault],
            {.form = "N/M", .max_size = 64, .help = rules[fault].help});
  }
  set.add("slow-by", options.slow_by, {.max = 3'600'000'000'000, .help = "how late a slow request begins"});
  set.add("bad", options.bad,
          {.form = "LBA-LBA+…", .help = "blocks that cannot be read until they are written"});
  set.add("cache", options.cache_bytes,
          {.unit = Unit::bytes,
           .max = 16_GiB,
           .test_max = 1_MiB,
           .help = "a volatile write cache: what a power cut finds in it is lost or torn by block; 0: none"});
  set.add("armed", options.armed, {.help = "whether chances count from the start, or once a test says so"});
}

FaultPlan::FaultPlan(const FaultChances& chances, std::uint64_t seed) : chances_(chances) {
  for (std::size_t fault = 0; fault < fault_count; ++fault) randoms_.emplace_back(splitmix64(seed));
}

bool FaultPlan::concerns(Fault fault, const Request& request) noexcept {
  switch (fault) {
    case Fault::read_error:
    case Fault::misdirected_read:
    case Fault::corrupt: return request.op == Op::read;
    case Fault::write_error: return mutates(request.op);
    case Fault::flush_error:
    case Fault::lost_flush: return request.op == Op::flush;
    case Fault::torn:
    case Fault::torn_acknowledged:
      return request.op == Op::write && request.blocks > 1 && !request.options.atomic;
    case Fault::lost: return request.op == Op::write || request.op == Op::write_zeroes;
    case Fault::misdirected:
    case Fault::corrupt_write: return request.op == Op::write;
    case Fault::slow: return true;
    case Fault::bad_block: break;
  }
  return false;
}

Verdict FaultPlan::judge(const Request& request) noexcept {
  Verdict verdict;
  for (std::size_t number = 0; number < fault_count; ++number) {
    const auto fault = static_cast<Fault>(number);
    if (!concerns(fault, request) || !chances_[number].happens(randoms_[number])) continue;
    if (fault == Fault::slow) {
      verdict.slow = true;
    } else if (!verdict.fault) {
      verdict.fault = fault;
      verdict.detail = randoms_[number].next();
    }
  }
  return verdict;
}

}  // namespace ashlar
