package forebay.interop;

import java.util.HashMap;
import java.util.Map;

/** The command line: {@code name=value} pairs, all required. */
final class Arguments {
    private final Map<String, String> values = new HashMap<>();

    Arguments(String[] pairs) {
        for (String pair : pairs) {
            int at = pair.indexOf('=');
            values.put(pair.substring(0, at), pair.substring(at + 1));
        }
    }

    String text(String name) {
        String value = values.get(name);
        if (value == null) {
            throw new IllegalArgumentException("the argument " + name + "=... is missing");
        }
        return value;
    }

    long number(String name) {
        return Long.parseLong(text(name));
    }
}
