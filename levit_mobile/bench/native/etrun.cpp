// Runs a .pte with ExecuTorch's own libraries and nothing of torch, told what to do line by line:
//
//     etrun MODEL THREADS [--profile | --etdump FILE]
//
//     describe    {"method": "forward", "input": {"shape": [1, 224, 224, 3], "dtype": "float32"}, "output": {...}, "load_ms": 12.3}
//     input N     N raw bytes follow; answers ok. Until then the input is all zero
//     run K       K inferences: {"ns": [K figures]}
//     mark I      draws border I (see count.c); answers ok
//     marked K    draws border 0, then border i behind the i-th of K inferences, and nothing else between; answers ok
//     profile K   with --profile: the same, and tells of each operator
//                 {"operators": [names], "us": [[microseconds of each operator] of each inference], "whole_us": [...]}
//     output      {"bytes": N}, then N raw bytes
//     quit        as does the end of the input; --etdump writes its file then
//
// What goes wrong is told as {"error": "..."}, and ends the program with status 3; a wrong command line with status 2.

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <executorch/devtools/etdump/etdump_flatcc.h>
#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/core/event_tracer.h>

// The package exports this and ships no header for it: see extension/threadpool/threadpool.h in ExecuTorch's sources.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::extension::Module;
using executorch::runtime::DelegateDebugIntId;
using executorch::runtime::Error;
using executorch::runtime::EventTracer;
using executorch::runtime::EventTracerEntry;
using executorch::runtime::Result;

constexpr long kMost = 1000000;  // inferences of one command
const char* const kHalf = "forward_float16";

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    char code[8];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c > 0x7e) {
      std::snprintf(code, sizeof code, "\\u%04x", c);
      out += code;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + '"';
}

template <typename T>
std::string listed(const std::vector<T>& values) {
  std::string out = "[";
  for (const T& value : values) {
    if constexpr (std::is_same_v<T, std::string>) {
      out += (out.size() > 1 ? ", " : "") + value;
    } else {
      out += (out.size() > 1 ? ", " : "") + std::to_string(value);
    }
  }
  return out + ']';
}

[[noreturn]] void fail(const std::string& what) {
  std::cout << "{\"error\": " << quoted(what) << "}" << std::endl;
  std::_Exit(3);  // libraries' threads may still be at work
}

void require(Error error, const std::string& what) {
  if (error != Error::Ok) fail(what + " (" + executorch::runtime::to_string(error) + ")");
}

template <typename T>
T& required(Result<T>& result, const std::string& what) {
  require(result.error(), what);
  return *result;
}

uint64_t now_ns() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

void draw(long index) { syscall(SYS_getpgid, 0x51450000 + index); }

const char* dtype_of(ScalarType type) {
  switch (type) {
    case ScalarType::Byte: return "uint8";
    case ScalarType::Char: return "int8";
    case ScalarType::Int: return "int32";
    case ScalarType::Long: return "int64";
    case ScalarType::Half: return "float16";
    case ScalarType::Float: return "float32";
    case ScalarType::Double: return "float64";
    case ScalarType::Bool: return "bool";
    default: return "unknown";
  }
}

// Keeps what delegates tell of their operators. It reads no clock of its own: under count.c each reading is a border, and
// all of them shall be XNNPACK's.
class Listener : public EventTracer {
 public:
  std::vector<std::string> names;
  std::vector<uint64_t> ticks;

  void log_profiling_delegate(const char* name, DelegateDebugIntId, et_timestamp_t start, et_timestamp_t end,
                              const void*, size_t) override {
    names.push_back(quoted(name ? name : ""));
    ticks.push_back(end - start);
  }
  void create_event_block(const char*) override {}
  EventTracerEntry start_profiling(const char*, executorch::runtime::ChainID,
                                   executorch::runtime::DebugHandle) override {
    return {};
  }
  void end_profiling(EventTracerEntry) override {}
  EventTracerEntry start_profiling_delegate(const char*, DelegateDebugIntId) override { return {}; }
  void end_profiling_delegate(EventTracerEntry, const void*, size_t) override {}
  void track_allocation(executorch::runtime::AllocatorID, size_t) override {}
  executorch::runtime::AllocatorID track_allocator(const char*) override { return 0; }
  Result<bool> log_evalue(const executorch::runtime::EValue&, executorch::runtime::LoggedEValueType) override {
    return false;
  }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId, const Tensor&) override {
    return false;
  }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId,
                                                const executorch::runtime::ArrayRef<Tensor>) override {
    return false;
  }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId, const int&) override { return false; }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId, const bool&) override { return false; }
  Result<bool> log_intermediate_output_delegate(const char*, DelegateDebugIntId, const double&) override {
    return false;
  }
  void set_delegation_intermediate_output_filter(executorch::runtime::EventTracerFilterBase*) override {}
};

struct Port {
  std::vector<executorch::aten::SizesType> shape;
  ScalarType type;
  size_t bytes;

  explicit Port(const executorch::runtime::TensorInfo& info)
      : shape(info.sizes().begin(), info.sizes().end()), type(info.scalar_type()), bytes(info.nbytes()) {}

  std::string told() const {
    return "{\"shape\": " + listed(shape) + ", \"dtype\": \"" + dtype_of(type) + "\"}";
  }
};

class Session {
 public:
  Session(const std::string& path, std::unique_ptr<EventTracer> tracer, Listener* listener)
      : module_(path, Module::LoadMode::File, std::move(tracer)), listener_(listener) {
    const uint64_t start = now_ns();
    method_ = load(path);
    load_ms_ = static_cast<double>(now_ns() - start) / 1e6;
    auto found = module_.method_meta(method_);
    const auto& meta = required(found, "cannot read " + path);
    if (meta.num_inputs() != 1 || meta.num_outputs() != 1) fail(path + " has not one input and one output");
    auto in = meta.input_tensor_meta(0), out = meta.output_tensor_meta(0);
    input_ = std::make_unique<Port>(required(in, "the input is no tensor"));
    output_ = std::make_unique<Port>(required(out, "the output is no tensor"));
    data_.resize(input_->bytes);
    tensor_ = executorch::extension::from_blob(data_.data(), input_->shape, input_->type);
  }

  void describe() const {
    std::cout << "{\"method\": " << quoted(method_) << ", \"input\": " << input_->told()
              << ", \"output\": " << output_->told() << ", \"load_ms\": " << load_ms_ << "}" << std::endl;
  }

  void input(size_t bytes) {
    if (bytes != data_.size())
      fail("input of " + std::to_string(bytes) + " bytes; the model takes " + std::to_string(data_.size()));
    std::cin.read(reinterpret_cast<char*>(data_.data()), static_cast<std::streamsize>(bytes));
    if (static_cast<size_t>(std::cin.gcount()) != bytes) fail("the input ended early");
    std::cout << "ok" << std::endl;
  }

  void run(long times) {
    std::vector<uint64_t> ns;
    ns.reserve(static_cast<size_t>(times));
    for (long i = 0; i < times; i++) {
      const uint64_t start = now_ns();
      infer();
      ns.push_back(now_ns() - start);
    }
    std::cout << "{\"ns\": " << listed(ns) << "}" << std::endl;
  }

  void marked(long times) {
    draw(0);
    for (long i = 1; i <= times; i++) {
      infer();
      draw(i);
    }
    std::cout << "ok" << std::endl;
  }

  void profile(long times) {
    if (!listener_) fail("profile needs --profile on the command line");
    const et_tick_ratio_t ratio = et_pal_ticks_to_ns_multiplier();
    std::vector<std::string> names, rows;
    std::vector<uint64_t> whole;
    draw(0);
    for (long i = 1; i <= times; i++) {
      listener_->names.clear();
      listener_->ticks.clear();
      const uint64_t start = now_ns();
      infer();
      whole.push_back((now_ns() - start) / 1000);
      draw(i);
      if (i > 1 && listener_->names != names) fail("two inferences did not run the same operators");
      names = listener_->names;
      std::vector<uint64_t> row;
      for (uint64_t ticks : listener_->ticks) row.push_back(ticks * ratio.numerator / ratio.denominator / 1000);
      rows.push_back(listed(row));
    }
    std::cout << "{\"operators\": " << listed(names) << ", \"us\": " << listed(rows)
              << ", \"whole_us\": " << listed(whole) << "}" << std::endl;
  }

  void output() {
    if (result_.empty()) fail("output before any inference");
    std::cout << "{\"bytes\": " << result_.size() << "}\n";
    std::cout.write(result_.data(), static_cast<std::streamsize>(result_.size()));
    std::cout.flush();
  }

 private:
  // The method to run. An int8 program holds its model a second time, computing in float16 between the int8 layers; only
  // an ARM processor with half-precision arithmetic can load that one.
  std::string load(const std::string& path) {
#ifdef __aarch64__
    auto names = module_.method_names();
    if (names.ok() && names->count(kHalf) && module_.load_method(kHalf) == Error::Ok) return kHalf;
#endif
    require(module_.load_method("forward"), "cannot load " + path);
    return "forward";
  }

  void infer() {
    auto given = module_.execute(method_, tensor_);
    const auto& values = required(given, "the inference failed");
    const Tensor& tensor = values.at(0).toTensor();
    const char* data = static_cast<const char*>(tensor.const_data_ptr());
    result_.assign(data, data + tensor.nbytes());
  }

  Module module_;
  std::string method_;
  Listener* listener_;
  double load_ms_ = 0;
  std::unique_ptr<Port> input_, output_;
  std::vector<uint8_t> data_;
  executorch::extension::TensorPtr tensor_;
  std::vector<char> result_;
};

// The number behind a word, least to most; nothing else may follow.
long number(const std::string& line, size_t from, long least, long most) {
  char* end = nullptr;
  const char* begin = line.c_str() + from;
  const long value = std::strtol(begin, &end, 10);
  if (end == begin || *end || value < least || value > most)
    fail(line + ": expected a number from " + std::to_string(least) + " to " + std::to_string(most));
  return value;
}

void serve(Session& session) {
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    const auto behind = [&line](const char* word) -> size_t {
      const std::string start = std::string(word) + ' ';
      return line.compare(0, start.size(), start) == 0 ? start.size() : 0;
    };
    if (line == "describe") {
      session.describe();
    } else if (line == "output") {
      session.output();
    } else if (const size_t at = behind("input")) {
      session.input(static_cast<size_t>(number(line, at, 0, 1L << 30)));
    } else if (const size_t at = behind("run")) {
      session.run(number(line, at, 1, kMost));
    } else if (const size_t at = behind("marked")) {
      session.marked(number(line, at, 1, 0xffff));
    } else if (const size_t at = behind("profile")) {
      session.profile(number(line, at, 1, 0xffff));
    } else if (const size_t at = behind("mark")) {
      draw(number(line, at, 0, 0xffff));
      std::cout << "ok" << std::endl;
    } else {
      fail("no command " + line.substr(0, 80));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string option = argc > 3 ? argv[3] : "";
  const bool profile = argc == 4 && option == "--profile", etdump = argc == 5 && option == "--etdump";
  const long threads = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 0;
  if (!(argc == 3 || profile || etdump) || threads < 1 || threads > 1024) {
    std::cerr << "usage: etrun MODEL THREADS [--profile | --etdump FILE]\n";
    return 2;
  }
  executorch::extension::threadpool::get_threadpool()->_unsafe_reset_threadpool(static_cast<uint32_t>(threads));
  std::unique_ptr<EventTracer> tracer;
  Listener* listener = nullptr;
  executorch::etdump::ETDumpGen* dump = nullptr;
  if (profile) {
    tracer.reset(listener = new Listener());
  } else if (etdump) {
    tracer.reset(dump = new executorch::etdump::ETDumpGen());
  }
  Session session(argv[1], std::move(tracer), listener);
  serve(session);
  if (dump) {
    const auto written = dump->get_etdump_data();
    std::ofstream file(argv[4], std::ios::binary);
    file.write(static_cast<const char*>(written.buf), static_cast<std::streamsize>(written.size));
    if (!written.buf || !file.flush()) fail(std::string("cannot write ") + argv[4]);
    std::free(written.buf);
  }
  std::cout.flush();
  std::_Exit(0);
}
