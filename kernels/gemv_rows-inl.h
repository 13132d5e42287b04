// Products of few rows in bytes, over the sources and sums of vnni_gemv-inl.h or avx2_gemv-inl.h, behind which
// simd_quant.cc includes this: a Direct source reads whole chunks of its format, Unpacked<Format> those of any, and the
// blocks that do not fill one; RowSums adds products up; QuantizeGroup rounds x.

// What reads the chunks of a format.
template <class Format>
struct SourceOf {
  using Type = Unpacked<Format>;
};
template <>
struct SourceOf<Of32<Q8_0>> {
  using Type = DirectQ8_0;
};
template <>
struct SourceOf<Of32<Q4_0>> {
  using Type = DirectQ4_0;
};
template <>
struct SourceOf<Q4_K> {
  using Type = DirectQ4_K;
};
template <>
struct SourceOf<Q5_K> {
  using Type = DirectQ5_K;
};
template <>
struct SourceOf<Q6_K> {
  using Type = DirectQ6_K;
};

constexpr int64_t kBytesAhead = 4096;  // further than the hardware looks, which stops at a page's end

template <class Format, class Source, int kR>
HWY_NOINLINE void GemvRows(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  constexpr int64_t kChunkBytes = RowBytes(Format::kType, kQuantChunk);
  const int64_t rest = args.k % kQuantChunk, whole = args.k - rest;
  const uint8_t* w = static_cast<const uint8_t*>(args.weights) + n_begin * RowBytes(Format::kType, args.k);
  for (int64_t n = n_begin; n < n_end; ++n) {
    RowSums<Source, kR> sums;
    for (int64_t k = 0; k < whole; k += kQuantChunk, w += kChunkBytes) {
      FetchAhead(w + kBytesAhead, kChunkBytes);
      sums.Add(Source(w), args.x, k);
    }
    float last[kR] = {};
    if (rest > 0) {
      RowSums<Unpacked<Format>, kR> tail;
      tail.Add(Unpacked<Format>(w, rest), args.x, whole);
      for (int r = 0; r < kR; ++r) last[r] = tail.Total(r);
      w += RowBytes(Format::kType, rest);
    }
    for (int r = 0; r < kR; ++r) {
      const float bias = args.bias != nullptr ? args.bias[n] : 0.0f;
      args.out.data[r * args.out.stride + n] = sums.Total(r) + last[r] + bias;
    }
  }
}

inline void QuantGemv(const QuantLinearArgs& args, int64_t n_begin, int64_t n_end) {
  WithFormat(args.type, [&](auto format) {
    using Format = decltype(format);
    using Source = typename SourceOf<Format>::Type;
    switch (args.rows) {
      case 1:
        return GemvRows<Format, Source, 1>(args, n_begin, n_end);
      case 2:
        return GemvRows<Format, Source, 2>(args, n_begin, n_end);
      case 3:
        return GemvRows<Format, Source, 3>(args, n_begin, n_end);
      default:
        return GemvRows<Format, Source, 4>(args, n_begin, n_end);
    }
  });
}

inline void QuantizeRows(ConstRows x, int64_t rows, int64_t k, QuantizedRows out) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < k; i += kQuantGroup) QuantizeGroup(x.data + r * x.stride + i, r * out.padded_k + i, out);
    const int64_t rest = r * out.padded_k + k, count = out.padded_k - k;
    std::fill_n(static_cast<int8_t*>(out.codes) + rest, count, int8_t{0});
    std::fill_n(out.starts + rest / 4, count / 4, 0);
    std::fill_n(out.scales + rest / kQuantGroup, count / kQuantGroup, 0.0f);
    std::fill_n(out.sums + rest / kQuantSumGroup, count / kQuantSumGroup, 0.0f);
  }
}
