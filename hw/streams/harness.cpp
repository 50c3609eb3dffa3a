// SPDX-License-Identifier: Apache-2.0
// Stimulus loop: drives and captures any number of AXI streams of a Verilated design, cycle by cycle.
//
// A cycle: drive valid, data and ready; clock low, settle; sample the handshakes; clock high. A handshake
// sampled in cycle t is the one that the rising edge at the end of cycle t performs. Every function of the C
// interface is called from sim.py through ctypes.

#include "harness.h"

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>

#include "verilated.h"

#define IR2_API extern "C" __attribute__((visibility("default")))

namespace {

// What the design printed last ($display, $error), kept for the message of an exception.
thread_local std::string last_output;

class XorShift {
public:
    void seed(uint64_t value) {
        m_state = value * 0x9e3779b97f4a7c15ULL + 0xd1b54a32d192ed03ULL;
        if (m_state == 0) m_state = 1;
        for (int i = 0; i < 8; ++i) next();
    }
    uint64_t next() {
        m_state ^= m_state >> 12;
        m_state ^= m_state << 25;
        m_state ^= m_state >> 27;
        return m_state * 0x2545f4914f6cdd1dULL;
    }
    // True with probability threshold / 2^32.
    bool below(uint64_t threshold) { return threshold != 0 && (next() >> 32) < threshold; }

private:
    uint64_t m_state = 1;
};

bool get_bit(const uint8_t* bytes, unsigned index) { return (bytes[index >> 3] >> (index & 7)) & 1; }

void set_bit(uint8_t* bytes, unsigned index, bool value) {
    const uint8_t mask = static_cast<uint8_t>(1u << (index & 7));
    if (value) {
        bytes[index >> 3] |= mask;
    } else {
        bytes[index >> 3] &= static_cast<uint8_t>(~mask);
    }
}

// A stream into the design, out of it, or between two of its parts: a tap is watched, not driven.
enum class Kind : int { kOutput = 0, kInput = 1, kTap = 2 };

// One stream, or one lane of a packed vector of streams: `lane` selects the bit of valid and ready, and the
// slice of data.
struct Stream {
    bool input;
    bool tap;
    unsigned width;
    unsigned bytes;
    unsigned lane;
    uint8_t* data;
    uint8_t* valid;
    uint8_t* ready;

    uint8_t* buffer = nullptr;
    int64_t beats = 0;
    int64_t done = 0;
    int64_t* cycles = nullptr;
    bool asserted = false;  // input: valid is high and waits for ready; output: ready is high
    bool held = false;      // output: in the previous cycle valid was high without ready, with `payload`
    XorShift random;
    std::vector<uint8_t> payload;

    bool pending() const { return !tap && done < beats; }

    void read(uint8_t* to) const {
        const unsigned offset = lane * width;
        if ((offset & 7) == 0) {
            std::memcpy(to, data + (offset >> 3), bytes);
        } else {
            std::memset(to, 0, bytes);
            for (unsigned i = 0; i < width; ++i) set_bit(to, i, get_bit(data, offset + i));
        }
        if (width & 7) to[bytes - 1] &= static_cast<uint8_t>((1u << (width & 7)) - 1);
    }

    void write(const uint8_t* from) {
        const unsigned offset = lane * width;
        const unsigned whole = (offset & 7) == 0 ? width >> 3 : 0;
        if (whole) std::memcpy(data + (offset >> 3), from, whole);
        for (unsigned i = whole * 8; i < width; ++i) set_bit(data, offset + i, get_bit(from, i));
    }

    // While valid is low the payload means nothing: noise finds a design that looks at it.
    void write_noise() {
        for (unsigned i = 0; i < bytes; ++i) payload[i] = static_cast<uint8_t>(random.next() >> 40);
        write(payload.data());
    }
};

enum Status : int { kDone = 0, kMore = 1, kStalled = 2, kTooLong = 3, kProtocol = 4, kFailed = 5 };

class Harness {
public:
    Harness() : m_context{new VerilatedContext} {
        m_context->fatalOnError(false);
        m_design = make_design(m_context.get());
        m_ports = m_design->ports();
        m_design->eval();
    }
    ~Harness() {
        try {
            m_design->final();
        } catch (const std::exception&) {
            // a final block that complains cannot be answered any more
        }
    }

    const std::vector<Port>& ports() const { return m_ports; }
    std::vector<Stream>& streams() { return m_streams; }
    uint8_t* bytes(int port) { return port < 0 ? nullptr : static_cast<uint8_t*>(m_ports.at(port).data); }

    void wire(int clock, int clock2x, int reset) {
        m_clock = bytes(clock);
        m_clock2x = bytes(clock2x);
        m_reset = bytes(reset);
    }

    int add_stream(Kind kind, unsigned width, unsigned lane, int data, int valid, int ready) {
        Stream stream{};
        stream.input = kind == Kind::kInput;
        stream.tap = kind == Kind::kTap;
        stream.width = width;
        stream.bytes = (width + 7) / 8;
        stream.lane = lane;
        stream.data = bytes(data);
        stream.valid = bytes(valid);
        stream.ready = bytes(ready);
        stream.payload.resize(stream.bytes);
        m_streams.push_back(std::move(stream));
        return static_cast<int>(m_streams.size()) - 1;
    }

    // With `offer` every source offers noise and every sink is ready meanwhile: what a design takes or gives during
    // reset it should not, and what follows shows it.
    int reset(int64_t cycles, bool offer) {
        release();
        for (Stream& stream : m_streams) stream.held = false;
        if (m_reset) *m_reset = 0;
        for (int64_t i = 0; i < cycles; ++i) {
            for (Stream& stream : m_streams) {
                if (!offer || stream.tap) continue;
                if (stream.input) stream.write_noise();
                set_bit(stream.input ? stream.valid : stream.ready, stream.lane, true);
            }
            low_phase();
            // The first edges bring the reset to every register.
            for (Stream& stream : m_streams) {
                if (!offer || stream.input || stream.tap || 2 * i < cycles) continue;
                if (get_bit(stream.valid, stream.lane)) complain(stream, "valid during reset");
            }
            rise();
        }
        const bool quiet = m_offender < 0;
        const int offender = m_offender;
        release();
        m_offender = offender;
        if (m_reset) *m_reset = 1;
        return quiet ? kDone : kProtocol;
    }

    // Clocks the design while no stream transfers anything.
    void idle(int64_t cycles) {
        release();
        for (int64_t i = 0; i < cycles; ++i) {
            low_phase();
            rise();
        }
    }

    void settle() { m_design->eval(); }

    void begin(uint64_t seed, double stall_in, double stall_out, int64_t idle_limit, int64_t max_cycles,
               bool check) {
        release();
        m_stall_in = static_cast<uint64_t>(stall_in * 4294967296.0);
        m_stall_out = static_cast<uint64_t>(stall_out * 4294967296.0);
        m_idle_limit = idle_limit;
        m_max_cycles = max_cycles;
        m_check = check;
        m_cycle = 0;
        m_last = -1;
        for (size_t i = 0; i < m_streams.size(); ++i) {
            Stream& stream = m_streams[i];
            stream.buffer = nullptr;
            stream.cycles = nullptr;
            stream.beats = stream.done = 0;
            stream.random.seed(seed * 1000003 + i + 1);
        }
    }

    void attach(int index, uint8_t* buffer, int64_t beats, int64_t* cycles) {
        Stream& stream = m_streams.at(index);
        stream.buffer = buffer;
        stream.beats = beats;
        stream.cycles = cycles;
    }

    int advance(int64_t budget) {
        m_live.clear();
        for (Stream& stream : m_streams) {
            if (stream.pending() || (!stream.input && m_check)) m_live.push_back(&stream);
        }
        while (unfinished()) {
            if (budget-- <= 0) return kMore;
            if (m_max_cycles >= 0 && m_cycle >= m_max_cycles) return kTooLong;
            if (m_cycle - 1 - m_last >= m_idle_limit) return kStalled;
            drive();
            low_phase();
            sample();
            rise();
            ++m_cycle;
            if (m_offender >= 0) return kProtocol;
        }
        release();
        return kDone;
    }

    int64_t cycle() const { return m_cycle; }
    int offender() const { return m_offender; }
    const char* complaint() const { return m_complaint; }

    std::string error;

private:
    bool unfinished() const {
        for (const Stream* stream : m_live) {
            if (stream->pending()) return true;
        }
        return false;
    }

    void release() {
        m_offender = -1;
        for (Stream& stream : m_streams) {
            stream.asserted = false;
            if (!stream.tap) set_bit(stream.input ? stream.valid : stream.ready, stream.lane, false);
        }
    }

    void drive() {
        for (Stream* stream : m_live) {
            if (stream->input) {
                if (stream->asserted) continue;
                if (stream->pending() && !stream->random.below(m_stall_in)) {
                    stream->write(stream->buffer + stream->done * stream->bytes);
                    stream->asserted = true;
                    set_bit(stream->valid, stream->lane, true);
                } else if (get_bit(stream->valid, stream->lane)) {
                    set_bit(stream->valid, stream->lane, false);
                    stream->write_noise();
                }
            } else if (!stream->tap) {
                stream->asserted = stream->pending() && !stream->random.below(m_stall_out);
                set_bit(stream->ready, stream->lane, stream->asserted);
            }
        }
    }

    void sample() {
        for (size_t i = 0; i < m_live.size(); ++i) {
            Stream& stream = *m_live[i];
            if (stream.input) {
                if (stream.asserted && get_bit(stream.ready, stream.lane)) {
                    accept(stream);
                    stream.asserted = false;
                }
                continue;
            }
            const bool valid = get_bit(stream.valid, stream.lane);
            if (stream.held && m_check) check_held(stream, valid);
            if (stream.tap) {
                watch(stream, valid);
                continue;
            }
            stream.held = valid && !stream.asserted;
            if (valid && stream.asserted) {
                stream.read(stream.buffer + stream.done * stream.bytes);
                accept(stream);
            } else if (stream.held) {
                stream.read(stream.payload.data());
            }
        }
    }

    // Notes what passes a tap; beats beyond those that are expected are counted only.
    void watch(Stream& stream, bool valid) {
        stream.held = valid && !get_bit(stream.ready, stream.lane);
        if (stream.held) {
            stream.read(stream.payload.data());
        } else if (valid) {
            if (stream.done < stream.beats) {
                stream.read(stream.buffer + stream.done * stream.bytes);
                if (stream.cycles) stream.cycles[stream.done] = m_cycle;
            }
            ++stream.done;
        }
    }

    void accept(Stream& stream) {
        if (stream.cycles) stream.cycles[stream.done] = m_cycle;
        ++stream.done;
        m_last = m_cycle;
    }

    void check_held(Stream& stream, bool valid) {
        const char* complaint = nullptr;
        if (!valid) {
            complaint = "valid fell before ready";
        } else {
            m_scratch.resize(stream.bytes);
            stream.read(m_scratch.data());
            if (m_scratch != stream.payload) complaint = "payload changed while waiting for ready";
        }
        if (complaint) complain(stream, complaint);
    }

    void complain(const Stream& stream, const char* complaint) {
        if (m_offender >= 0) return;
        m_offender = static_cast<int>(&stream - m_streams.data());
        m_complaint = complaint;
    }

    void low_phase() {
        if (m_clock2x) {
            *m_clock2x = 0;
            eval();
            *m_clock2x = 1;
        }
        if (m_clock) *m_clock = 0;
        eval();
        if (m_clock2x) {
            *m_clock2x = 0;
            eval();
        }
    }

    void rise() {
        if (m_clock) *m_clock = 1;
        if (m_clock2x) *m_clock2x = 1;
        eval();
    }

    void eval() {
        m_context->timeInc(1);
        m_design->eval();
    }

    std::unique_ptr<VerilatedContext> m_context;
    std::unique_ptr<Design> m_design;
    std::vector<Port> m_ports;
    std::vector<Stream> m_streams;
    std::vector<Stream*> m_live;
    std::vector<uint8_t> m_scratch;
    uint8_t* m_clock = nullptr;
    uint8_t* m_clock2x = nullptr;
    uint8_t* m_reset = nullptr;
    uint64_t m_stall_in = 0;
    uint64_t m_stall_out = 0;
    int64_t m_idle_limit = 0;
    int64_t m_max_cycles = -1;
    bool m_check = true;
    int64_t m_cycle = 0;
    int64_t m_last = -1;
    int m_offender = -1;
    const char* m_complaint = "";
};

// Runs `body`; an exception ($stop, $error or $fatal of the design, a missing memory file) becomes kFailed and
// a message.
template <typename Body>
int guarded(Harness* harness, Body&& body) {
    try {
        return body();
    } catch (const std::exception& problem) {
        harness->error = problem.what();
        return kFailed;
    }
}

std::string with_output(const std::string& what, const char* file, int line, const char* message) {
    std::string text = what;
    if (file && *file) text += " at " + std::string{file};
    if (line) text += ":" + std::to_string(line);
    if (message && *message) text += ": " + std::string{message};
    if (!last_output.empty()) text += "; last output: " + last_output;
    return text;
}

}  // namespace

// Verilator's exits: an exception in place of a printed line and exit(), which would end the Python process.
void vl_finish(const char* file, int line, const char*) VL_MT_UNSAFE {
    throw std::runtime_error{with_output("the design called $finish", file, line, "")};
}
void vl_stop(const char* file, int line, const char*) VL_MT_UNSAFE {
    throw std::runtime_error{with_output("the design stopped", file, line, "")};
}
void vl_fatal(const char* file, int line, const char*, const char* message) VL_MT_UNSAFE {
    throw std::runtime_error{with_output("fatal", file, line, message)};
}
// A warning at run time is a memory file that is missing or malformed: results would silently be wrong.
void vl_warn(const char* file, int line, const char*, const char* message) VL_MT_UNSAFE {
    throw std::runtime_error{with_output("warning", file, line, message)};
}

// Takes the place of printf in the Verilator runtime.
void ir2_printf(const char* format, ...) {
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length <= 0) return;
    last_output = text;
    while (!last_output.empty() && last_output.back() == '\n') last_output.pop_back();
}

IR2_API Harness* ir2_open(char* error, size_t size) {
    try {
        last_output.clear();
        return new Harness;
    } catch (const std::exception& problem) {
        std::snprintf(error, size, "%s", problem.what());
        return nullptr;
    }
}
IR2_API void ir2_close(Harness* harness) { delete harness; }
IR2_API const char* ir2_error(Harness* harness) { return harness->error.c_str(); }
IR2_API int ir2_port_count(Harness* harness) { return static_cast<int>(harness->ports().size()); }
IR2_API const char* ir2_port_name(Harness* harness, int port) { return harness->ports().at(port).name; }
IR2_API unsigned ir2_port_width(Harness* harness, int port) { return harness->ports().at(port).width; }
IR2_API int ir2_port_input(Harness* harness, int port) { return harness->ports().at(port).input; }
IR2_API uint8_t* ir2_port_data(Harness* harness, int port) { return harness->bytes(port); }
IR2_API void ir2_wire(Harness* harness, int clock, int clock2x, int reset) {
    harness->wire(clock, clock2x, reset);
}
IR2_API int ir2_add_stream(Harness* harness, int kind, unsigned width, unsigned lane, int data, int valid,
                           int ready) {
    return harness->add_stream(static_cast<Kind>(kind), width, lane, data, valid, ready);
}
IR2_API int ir2_settle(Harness* harness) {
    return guarded(harness, [&] { return harness->settle(), static_cast<int>(kDone); });
}
IR2_API int ir2_reset(Harness* harness, int64_t cycles, int offer) {
    return guarded(harness, [&] { return harness->reset(cycles, offer != 0); });
}
IR2_API int ir2_idle(Harness* harness, int64_t cycles) {
    return guarded(harness, [&] { return harness->idle(cycles), static_cast<int>(kDone); });
}
IR2_API void ir2_begin(Harness* harness, uint64_t seed, double stall_in, double stall_out, int64_t idle_limit,
                       int64_t max_cycles, int check) {
    harness->begin(seed, stall_in, stall_out, idle_limit, max_cycles, check != 0);
}
IR2_API void ir2_attach(Harness* harness, int stream, uint8_t* buffer, int64_t beats, int64_t* cycles) {
    harness->attach(stream, buffer, beats, cycles);
}
IR2_API int ir2_advance(Harness* harness, int64_t budget) {
    return guarded(harness, [&] { return harness->advance(budget); });
}
IR2_API int64_t ir2_cycle(Harness* harness) { return harness->cycle(); }
IR2_API int64_t ir2_done(Harness* harness, int stream) { return harness->streams().at(stream).done; }
IR2_API int ir2_valid(Harness* harness, int stream) {
    const Stream& s = harness->streams().at(stream);
    return get_bit(s.valid, s.lane);
}
IR2_API int ir2_ready(Harness* harness, int stream) {
    const Stream& s = harness->streams().at(stream);
    return get_bit(s.ready, s.lane);
}
IR2_API int ir2_offender(Harness* harness) { return harness->offender(); }
IR2_API const char* ir2_complaint(Harness* harness) { return harness->complaint(); }
