// Weights as 8-bit integers with one scale a row, for the CPU: two operators of our own, called by name as every other.
//
//   commtorch::quantize_rows(weight [N, K]) -> (i8 [N, K], bf16 [N])      weight[n, k] ~ scale[n] * q[n, k], |q| <= 127
//   commtorch::int8_linear(x [*, K], q, scale, bias?) -> [*, N]           activations are not quantised
//
// Few rows of x are limited by how fast the weights come from memory, so they are read once, as bytes, and multiplied in
// f32. Many rows are limited by arithmetic: blocks of weights become floats in a small scratch, and libtorch multiplies.
// libtorch's own _weight_int8pack_mm is as fast for one row in bf16, but 30 times slower in f32 and for many rows, and it
// reads out of bounds where K is odd.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <atomic>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <latch>
#include <tuple>

#if defined(__GNUC__) && defined(__x86_64__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 warns of its own intrinsics
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#define COMMTORCH_X86
#endif

#if defined(__GNUC__)
#define COMMTORCH_INLINE __attribute__((always_inline))
#else
#define COMMTORCH_INLINE
#endif

#if defined(__GNUC__) && !defined(__clang__)
// -O2 vectorises only loops whose length it knows. Products and sums stay apart, so that a quantised weight is the same
// bytes on every processor; where both in one are wanted, they are called by name.
#pragma GCC optimize("O3", "fp-contract=off")
#endif

namespace {

// ---------------------------------------------------------------------------------------------- instruction sets

enum class Instructions { Plain, Avx2, Avx512 };

// What libtorch itself uses, so that its switch ATEN_CPU_CAPABILITY is ours as well.
Instructions instructions() {
  static const Instructions chosen = [] {
    const std::string name = at::get_cpu_capability();
    return name == "AVX512" ? Instructions::Avx512 : name == "AVX2" ? Instructions::Avx2 : Instructions::Plain;
  }();
  return chosen;
}

#if defined(COMMTORCH_X86)
template <class Work>
__attribute__((target("avx2,fma,bmi,bmi2,f16c"))) void withAvx2(Work work) {
  work();
}

template <class Work>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,bmi,bmi2,f16c"))) void withAvx512(Work work) {
  work();
}
#endif

// Compiles `work`, a lambda marked COMMTORCH_INLINE, once for each instruction set, and runs the one for this processor.
// By value, and it captures by value: what it writes can then not be taken for what it refers to.
template <class Work>
void vectorized(Work work) {
#if defined(COMMTORCH_X86)
  if (instructions() == Instructions::Avx512) return withAvx512(work);
  if (instructions() == Instructions::Avx2) return withAvx2(work);
#endif
  work();
}

constexpr int64_t kFewRows = 16;             // below this a product is limited by memory, not by arithmetic
constexpr int64_t kBlockElements = 4 << 20;  // weights that are floats at one time
constexpr int kLanes = 8;       // of a vector that the compiler makes itself
constexpr int kLanes512 = 16;

// Runs `work(begin, end)` on the threads that libtorch uses. at::parallel_for is OpenMP in its header, and without a second
// OpenMP beside libtorch's own it is a plain loop; libtorch's pool of tasks is there for everybody.
template <class Work>
void inParallel(int64_t count, int64_t grain, const Work& work) {
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), (count + grain - 1) / grain);
  if (threads <= 1) return work(0, count);
  const int64_t chunk = ((count + threads - 1) / threads + 3) / 4 * 4;
  std::latch others(threads - 1);
  for (int64_t t = 1; t < threads; t++) {
    at::launch([&work, &others, begin = std::min(count, t * chunk), end = std::min(count, (t + 1) * chunk)] {
      work(begin, end);
      others.count_down();
    });
  }
  work(0, std::min(count, chunk));
  others.wait();
}

// ---------------------------------------------------------------------------------------------- quantising

float fromBf16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float out;
  std::memcpy(&out, &wide, sizeof out);
  return out;
}

// The smallest bf16 that is not below a positive value: no weight is cut off, and the scale is exact in bf16 and f32.
uint16_t roundUpToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0xffff) >> 16);
}

// Without its sign a float orders as an integer, and infinity and NaN are larger than every number.
uint32_t largestF32(const float* row, int64_t count) {
  uint32_t largest = 0;
  vectorized([&]() COMMTORCH_INLINE {
    uint32_t most = 0;
    for (int64_t k = 0; k < count; k++) {
      uint32_t bits;
      std::memcpy(&bits, row + k, sizeof bits);
      most = std::max(most, bits & 0x7fffffffu);
    }
    largest = most;
  });
  return largest;
}

uint16_t largestBf16(const uint16_t* row, int64_t count) {
  uint16_t largest = 0;
  vectorized([&]() COMMTORCH_INLINE {
    uint16_t most = 0;
    for (int64_t k = 0; k < count; k++) most = std::max<uint16_t>(most, row[k] & 0x7fff);
    largest = most;
  });
  return largest;
}

// Adding and subtracting 1.5 * 2^23 rounds to the nearest integer, ties to even.
constexpr float kRounder = 12582912.0f;

void roundF32(const float* from, int8_t* to, int64_t size, float factor) {
  vectorized([row = from, out = to, count = size, inverse = factor]() COMMTORCH_INLINE {
    for (int64_t k = 0; k < count; k++) out[k] = static_cast<int8_t>(static_cast<int32_t>((row[k] * inverse + kRounder) - kRounder));
  });
}

void roundBf16(const uint16_t* from, int8_t* to, int64_t size, float factor) {
  vectorized([row = from, out = to, count = size, inverse = factor]() COMMTORCH_INLINE {
    for (int64_t k = 0; k < count; k++) {
      const uint32_t wide = static_cast<uint32_t>(row[k]) << 16;
      float value;
      std::memcpy(&value, &wide, sizeof value);
      out[k] = static_cast<int8_t>(static_cast<int32_t>((value * inverse + kRounder) - kRounder));
    }
  });
}

std::tuple<at::Tensor, at::Tensor> quantizeRows(const at::Tensor& weight) {
  TORCH_CHECK(weight.dim() == 2, "quantize_rows: the weight must be a matrix, it has ", weight.dim(), " axes");
  TORCH_CHECK(at::isFloatingType(weight.scalar_type()), "quantize_rows: the weight must hold floats, not ", weight.scalar_type());
  const bool isBf16 = weight.scalar_type() == at::kBFloat16;
  const at::Tensor source = (isBf16 ? weight : weight.to(at::kFloat)).contiguous();
  const int64_t rows = source.size(0), count = source.size(1);
  at::Tensor quantized = at::empty({rows, count}, at::kChar);
  at::Tensor scales = at::empty({rows}, at::kBFloat16);
  const void* from = source.const_data_ptr();
  int8_t* to = quantized.mutable_data_ptr<int8_t>();
  auto* scale = static_cast<uint16_t*>(scales.mutable_data_ptr());
  std::atomic<bool> finite{true};
  inParallel(rows, std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, count)), [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) {
      const auto* halves = static_cast<const uint16_t*>(from) + n * count;
      const auto* floats = static_cast<const float*>(from) + n * count;
      const uint32_t most = isBf16 ? static_cast<uint32_t>(largestBf16(halves, count)) << 16 : largestF32(floats, count);
      if (most >= 0x7f800000u) {
        finite = false;
        return;
      }
      float absmax;
      std::memcpy(&absmax, &most, sizeof absmax);
      scale[n] = roundUpToBf16(absmax / 127.0f);
      const float step = fromBf16(scale[n]);
      if (step < FLT_MIN) {  // zeros, or too small for a normal number
        scale[n] = 0;
        std::fill_n(to + n * count, count, int8_t{0});
      } else if (isBf16) {
        roundBf16(halves, to + n * count, count, 1.0f / step);
      } else {
        roundF32(floats, to + n * count, count, 1.0f / step);
      }
    }
  });
  TORCH_CHECK(finite.load(), "quantize_rows: the weight holds NaN or infinite values");
  return {quantized, scales};
}

// ---------------------------------------------------------------------------------------------- few rows

#if defined(__GNUC__)
typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int8_t Bytes __attribute__((vector_size(kLanes)));
typedef int16_t Shorts __attribute__((vector_size(kLanes * 2)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));

// One step at a time: GCC 12 turns the step from bytes to floats into single values. By reference, since how a vector of
// 64 bytes is returned depends on the instruction set.
inline COMMTORCH_INLINE void widen(const Bytes& bytes, Floats& out) {
  out = __builtin_convertvector(__builtin_convertvector(__builtin_convertvector(bytes, Shorts), Ints), Floats);
}

// Dot products of one row of weights with `R` rows of x, whose ends are filled with zeros up to whole vectors.
template <int R>
inline COMMTORCH_INLINE void dotRows(const int8_t* weight, const float* x, int64_t stride, int64_t count, float* out) {
  Floats sums[R][2] = {};
  int64_t k = 0;
  for (; k + 2 * kLanes <= count; k += 2 * kLanes) {
    Bytes bytes[2];
    std::memcpy(bytes, weight + k, sizeof bytes);
    Floats w0, w1;
    widen(bytes[0], w0);
    widen(bytes[1], w1);
    for (int r = 0; r < R; r++) {
      Floats a, b;
      std::memcpy(&a, x + r * stride + k, sizeof a);
      std::memcpy(&b, x + r * stride + k + kLanes, sizeof b);
      sums[r][0] += w0 * a;
      sums[r][1] += w1 * b;
    }
  }
  for (int r = 0; r < R; r++) {
    const Floats both = sums[r][0] + sums[r][1];
    float sum = 0;
    for (int i = 0; i < kLanes; i++) sum += both[i];
    for (int64_t rest = k; rest < count; rest++) sum += static_cast<float>(weight[rest]) * x[r * stride + rest];
    out[r] = sum;
  }
}
#else
template <int R>
void dotRows(const int8_t* weight, const float* x, int64_t stride, int64_t count, float* out) {
  for (int r = 0; r < R; r++) {
    float sum = 0;
    for (int64_t k = 0; k < count; k++) sum += static_cast<float>(weight[k]) * x[r * stride + k];
    out[r] = sum;
  }
}
#endif

#if defined(COMMTORCH_X86)
__attribute__((target("avx512f"), always_inline)) inline __m512 widen512(const int8_t* bytes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes))));
}

__attribute__((target("avx512f"), always_inline)) inline float sumLanes512(__m512 sums) {
  float lanes[kLanes512], sum = 0;
  _mm512_storeu_ps(lanes, sums);
  for (const float lane : lanes) sum += lane;
  return sum;
}

// The same with AVX-512 by name: the compiler keeps the sums above in memory.
template <int R>
__attribute__((target("avx512f"))) void dotRows512(const int8_t* weight, const float* x, int64_t stride, int64_t count, float* out) {
  __m512 sums[R][2];
  for (int r = 0; r < R; r++) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  int64_t k = 0;
  for (; k + 2 * kLanes512 <= count; k += 2 * kLanes512) {
    const __m512 w0 = widen512(weight + k), w1 = widen512(weight + k + kLanes512);
    for (int r = 0; r < R; r++) {
      sums[r][0] = _mm512_fmadd_ps(w0, _mm512_loadu_ps(x + r * stride + k), sums[r][0]);
      sums[r][1] = _mm512_fmadd_ps(w1, _mm512_loadu_ps(x + r * stride + k + kLanes512), sums[r][1]);
    }
  }
  for (int r = 0; r < R; r++) {
    float sum = sumLanes512(_mm512_add_ps(sums[r][0], sums[r][1]));
    for (int64_t rest = k; rest < count; rest++) sum += static_cast<float>(weight[rest]) * x[r * stride + rest];
    out[r] = sum;
  }
}
#endif

struct FewRows {
  const float* x;  // [rows, count]
  int64_t rows, count, outputs;
  const int8_t* weight;
  const float* scale;
  const float* bias;  // or null
  float* out;         // [rows, outputs]
};

void multiplyFewRows(const FewRows& given, int64_t first, int64_t last) {
  vectorized([job = given, begin = first, end = last]() COMMTORCH_INLINE {
    const int64_t count = job.count;
    for (int64_t n = begin; n < end; n++) {
      const int8_t* weight = job.weight + n * count;
      const float bias = job.bias ? job.bias[n] : 0.0f;
      int64_t row = 0;
      float dots[4];
      for (; row + 4 <= job.rows; row += 4) {
        dotRows<4>(weight, job.x + row * count, count, count, dots);
        for (int r = 0; r < 4; r++) job.out[(row + r) * job.outputs + n] = dots[r] * job.scale[n] + bias;
      }
      for (; row < job.rows; row++) {
        dotRows<1>(weight, job.x + row * count, count, count, dots);
        job.out[row * job.outputs + n] = dots[0] * job.scale[n] + bias;
      }
    }
  });
}

#if defined(COMMTORCH_X86)
// Four rows of weights with one row of x: four streams and a look ahead keep the memory busy, which one row does not.
__attribute__((target("avx512f"))) void dotFourWeights512(const int8_t* weight, const float* x, int64_t count, float* out) {
  constexpr int64_t kAhead = 1024;  // bytes
  __m512 sums[4][2];
  for (auto& sum : sums) sum[0] = sum[1] = _mm512_setzero_ps();
  int64_t k = 0;
  for (; k + 4 * kLanes512 <= count; k += 4 * kLanes512) {
    for (int r = 0; r < 4; r++) {
      const int8_t* at = weight + r * count + k;
      _mm_prefetch(reinterpret_cast<const char*>(at + kAhead), _MM_HINT_T0);
      for (int part = 0; part < 4; part++) {
        sums[r][part & 1] = _mm512_fmadd_ps(widen512(at + part * kLanes512), _mm512_loadu_ps(x + k + part * kLanes512), sums[r][part & 1]);
      }
    }
  }
  for (int r = 0; r < 4; r++) {
    float sum = sumLanes512(_mm512_add_ps(sums[r][0], sums[r][1]));
    for (int64_t rest = k; rest < count; rest++) sum += static_cast<float>(weight[r * count + rest]) * x[rest];
    out[r] = sum;
  }
}

void multiplyFewRows512(const FewRows& job, int64_t begin, int64_t end) {
  const int64_t count = job.count;
  int64_t first = begin;
  if (job.rows == 1) {
    float dots[4];
    for (; first + 4 <= end; first += 4) {
      dotFourWeights512(job.weight + first * count, job.x, count, dots);
      for (int r = 0; r < 4; r++) job.out[first + r] = dots[r] * job.scale[first + r] + (job.bias ? job.bias[first + r] : 0.0f);
    }
  }
  for (int64_t n = first; n < end; n++) {
    const int8_t* weight = job.weight + n * count;
    const float bias = job.bias ? job.bias[n] : 0.0f;
    int64_t row = 0;
    float dots[8];
    const auto store = [&](int rows) {
      for (int r = 0; r < rows; r++) job.out[(row + r) * job.outputs + n] = dots[r] * job.scale[n] + bias;
      row += rows;
    };
    while (row + 8 <= job.rows) dotRows512<8>(weight, job.x + row * count, count, count, dots), store(8);
    while (row + 4 <= job.rows) dotRows512<4>(weight, job.x + row * count, count, count, dots), store(4);
    while (row < job.rows) dotRows512<1>(weight, job.x + row * count, count, count, dots), store(1);
  }
}
#endif

at::Tensor linearFewRows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& scale, const std::optional<at::Tensor>& bias) {
  const at::Tensor floats = x.to(at::kFloat).contiguous();
  const at::Tensor scales = scale.to(at::kFloat).contiguous();
  const at::Tensor biases = bias ? bias->to(at::kFloat).contiguous() : at::Tensor();
  at::Tensor out = at::empty({x.size(0), weight.size(0)}, at::kFloat);
  const FewRows job{floats.const_data_ptr<float>(), x.size(0), x.size(1), weight.size(0), weight.const_data_ptr<int8_t>(),
                    scales.const_data_ptr<float>(), bias ? biases.const_data_ptr<float>() : nullptr, out.mutable_data_ptr<float>()};
  const int64_t grain = std::max<int64_t>(1, (1 << 17) / std::max<int64_t>(1, job.count * job.rows));
#if defined(COMMTORCH_X86)
  const auto multiply = instructions() == Instructions::Avx512 ? multiplyFewRows512 : multiplyFewRows;
#else
  const auto multiply = multiplyFewRows;
#endif
  inParallel(job.outputs, grain, [&](int64_t begin, int64_t end) { multiply(job, begin, end); });
  return out.to(x.scalar_type());
}

// ---------------------------------------------------------------------------------------------- many rows

void widenToF32(const int8_t* bytes, float* floats, int64_t size) {
  vectorized([from = bytes, to = floats, count = size]() COMMTORCH_INLINE {
    for (int64_t i = 0; i < count; i++) to[i] = static_cast<float>(from[i]);
  });
}

// Whole numbers up to 127 are exact in bf16: the upper half of the f32.
void widenToBf16(const int8_t* bytes, uint16_t* halves, int64_t size) {
  vectorized([from = bytes, to = halves, count = size]() COMMTORCH_INLINE {
    for (int64_t i = 0; i < count; i++) {
      const float value = static_cast<float>(from[i]);
      uint32_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      to[i] = static_cast<uint16_t>(bits >> 16);
    }
  });
}

// Whether bf16 products have instructions of their own; without them f32 is the faster one.
bool multipliesBf16() {
#if defined(__GNUC__) && defined(__x86_64__)
  static const bool has = __builtin_cpu_supports("avx512bf16") || __builtin_cpu_supports("amx-bf16");
  return has;
#else
  return false;
#endif
}

at::Tensor linearManyRows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& scale, const std::optional<at::Tensor>& bias) {
  const int64_t outputs = weight.size(0), count = weight.size(1);
  const at::ScalarType type = x.scalar_type() == at::kBFloat16 && multipliesBf16() ? at::kBFloat16 : at::kFloat;
  const at::Tensor input = x.to(type).contiguous();
  const at::Tensor scales = scale.to(type);
  const at::Tensor biases = bias ? bias->to(type) : at::Tensor();
  const int64_t block = std::max<int64_t>(1, std::min(outputs, kBlockElements / std::max<int64_t>(1, count)));
  const at::Tensor scratch = at::empty({block, count}, type);
  at::Tensor out = at::empty({x.size(0), outputs}, x.scalar_type());
  const int8_t* from = weight.const_data_ptr<int8_t>();
  for (int64_t begin = 0; begin < outputs; begin += block) {
    const int64_t size = std::min(block, outputs - begin);
    inParallel(size, std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, count)), [&](int64_t first, int64_t last) {
      const int8_t* bytes = from + (begin + first) * count;
      const int64_t total = (last - first) * count;
      if (type == at::kBFloat16) {
        widenToBf16(bytes, static_cast<uint16_t*>(scratch.mutable_data_ptr()) + first * count, total);
      } else {
        widenToF32(bytes, scratch.mutable_data_ptr<float>() + first * count, total);
      }
    });
    at::Tensor product = at::linear(input, scratch.narrow(0, 0, size)).mul_(scales.narrow(0, begin, size));
    if (bias) product.add_(biases.narrow(0, begin, size));
    out.narrow(1, begin, size).copy_(product);
  }
  return out;
}

at::Tensor int8Linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& scale, const std::optional<at::Tensor>& bias) {
  TORCH_CHECK(x.dim() >= 1 && weight.dim() == 2 && x.size(-1) == weight.size(1), "int8_linear: x is ", x.sizes(), ", the weight ",
              weight.sizes());
  TORCH_CHECK(weight.scalar_type() == at::kChar && weight.is_contiguous(), "int8_linear: the weight must be contiguous i8");
  TORCH_CHECK(scale.dim() == 1 && scale.size(0) == weight.size(0), "int8_linear: ", weight.size(0), " rows need as many scales");
  TORCH_CHECK(!bias || (bias->dim() == 1 && bias->size(0) == weight.size(0)), "int8_linear: ", weight.size(0), " rows need as many biases");
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), "int8_linear: x must hold floats, not ", x.scalar_type());
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  const at::Tensor rows = x.reshape({c10::multiply_integers(x.sizes().begin(), x.sizes().end() - 1), x.size(-1)});
  const at::Tensor out = rows.size(0) < kFewRows ? linearFewRows(rows, weight, scale, bias) : linearManyRows(rows, weight, scale, bias);
  return out.reshape(shape);
}

}  // namespace

TORCH_LIBRARY(commtorch, library) {
  library.def("quantize_rows(Tensor weight) -> (Tensor, Tensor)");
  library.def("int8_linear(Tensor x, Tensor weight, Tensor scale, Tensor? bias=None) -> Tensor");
}

TORCH_LIBRARY_IMPL(commtorch, CPU, library) {
  library.impl("quantize_rows", quantizeRows);
  library.impl("int8_linear", int8Linear);
}
