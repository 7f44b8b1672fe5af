// Package hostile has texts that break programs that take them for more than
// text, for tests.
package hostile

import "strings"

// Texts are texts of up to 256 characters, by what they are, that Postgres and
// JSON can hold: whoever takes them must give them back as they are, or refuse
// them with an error that names the field.
func Texts() map[string]string {
	return map[string]string{
		"SQL":                  `'; DROP SCHEMA riverhook CASCADE; --`,
		"SQL with a comment":   `x' /* TEMPLATE: schema */ OR '1'='1`,
		"SQL with dollars":     `$1 $$ $body$ :name @name ?`,
		"an escaped quote":     `\'; SELECT pg_sleep(60); --`,
		"an array":             `{"a",NULL,b}`,
		"a composite":          `(1,"2",)`,
		"NULL":                 "NULL",
		"COPY's end":           `\.`,
		"LIKE":                 `%_\%`,
		"a regular expression": `^(a+)+$`,
		"a format":             `%s%n%x%!d(MISSING)`,
		"a template":           "{{.}} ${jndi:ldap://127.0.0.1/a} `id` $(id)",
		"JSON":                 `{"a": "b"}, "c": ["d`,
		"an escape of JSON":    `\u0000 \ud800`,
		"HTML":                 `<script>alert(1)</script>&amp;"'`,
		"a path":               "../../../../etc/passwd",
		"a URL":                "https://127.0.0.1:22/%2e%2e?a=b#c",
		"a line break":         "a\r\nX-Injected: 1\r\n\r\nb",
		"control characters":   "\x01\x07\x1b[31mred\x1b[0m\x7f\u0085",
		"white space":          " \t\u00a0\u2003\u3000",
		"separators of lines":  "a\u2028b\u2029c",
		"overridden direction": "invoice\u202egpj.exe",
		"isolated direction":   "\u2066a\u2069\u2067b\u2069\u200f",
		"nothing to be seen":   "\u200b\u200d\u2060\ufeff",
		"a homograph":          "\u0430dmin",
		"not normalized":       "e\u0301\u0301\u0301 \ufb01 \u212b",
		"not a character":      "\ufffe\uffff\U0010ffff\ue000",
		"many marks":           "Z" + strings.Repeat("\u0351", 200),
		"beyond the BMP":       "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U00020000",
		"long":                 strings.Repeat("\U0001f4a3", 256),
	}
}

// Impossible are texts that Postgres cannot hold.
func Impossible() map[string]string {
	return map[string]string{
		"NUL":                 "a\x00b",
		"a lone byte":         "a\xffb",
		"half of a character": "\xc3",
		"overlong":            "\xc0\x80",
		"a surrogate":         "\xed\xa0\x80",
	}
}
