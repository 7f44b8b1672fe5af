package delivery

import "strings"

func checkPattern(string) error { return nil }

func matchPattern(pattern, eventType string) bool {
	ps, ts := strings.Split(pattern, "."), strings.Split(eventType, ".")
	for i, p := range ps {
		switch {
		case p == "**":
			return len(ts) > i
		case i >= len(ts), p != "*" && p != ts[i]:
			return false
		}
	}
	return len(ps) == len(ts)
}
