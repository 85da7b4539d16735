package forebay.interop;

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;

/**
 * What a consumer did, one line each on standard output: the kind, milliseconds since the epoch, the shard, then more.
 *
 * <p>Lines leave the process before the checkpoint that covers them, so that what a killed consumer had processed is
 * known.
 */
final class Ledger {
    private static final Pattern ID = Pattern.compile("interop-id=([0-9]+)");
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private static volatile boolean onlyPrepare;

    private Ledger() {}

    /** A line {@code record MILLIS SHARD SEQUENCE SUB_SEQUENCE ID} for each log event of a subscription payload. */
    static void record(String shard, String sequence, long subSequence, ByteBuffer data) {
        byte[] packed = new byte[data.remaining()];
        data.get(packed);
        try (GZIPInputStream unpacked = new GZIPInputStream(new ByteArrayInputStream(packed))) {
            Matcher ids = ID.matcher(new String(unpacked.readAllBytes(), StandardCharsets.UTF_8));
            while (ids.find()) {
                write("record", shard, sequence, Long.toString(subSequence), ids.group(1));
            }
        } catch (IOException broken) {
            write("broken", shard, sequence, Long.toString(subSequence), broken.toString().replace(' ', '_'));
        }
    }

    /** Anything else, for instance {@code start}, {@code lost}, {@code ended}. */
    static void event(String kind, String shard, Object... more) {
        String[] texts = new String[more.length];
        for (int at = 0; at < more.length; at++) {
            texts[at] = String.valueOf(more[at]).replace(' ', '_');
        }
        write(kind, shard, texts);
        flush();
    }

    static void flush() {
        OUT.flush();
    }

    /** Whether a prepared checkpoint of this batch is to stay pending: from the command {@code prepare} on. */
    static boolean onlyPrepares() {
        return onlyPrepare;
    }

    /** Obeys the lines of standard input: {@code prepare}, or {@code stop} for a graceful stop. */
    static void obey(Runnable stop) {
        Thread reader = new Thread(() -> {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    if (line.equals("prepare")) {
                        onlyPrepare = true;
                        event("preparing", "-");
                    } else if (line.equals("stop")) {
                        event("stopping", "-");
                        stop.run();
                    }
                }
            } catch (IOException closed) {
                event("deaf", "-", closed);
            }
        }, "commands");
        reader.setDaemon(true);
        reader.start();
    }

    private static synchronized void write(String kind, String shard, String... more) {
        OUT.print(kind + ' ' + System.currentTimeMillis() + ' ' + shard);
        for (String text : more) {
            OUT.print(' ');
            OUT.print(text);
        }
        OUT.print('\n');
    }
}
