package program

import "fmt"

// Verdict says whether all was as it must be.
type Verdict struct {
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
}

// Good is the verdict to begin with.
func Good() Verdict { return Verdict{OK: true, Problems: []string{}} }

// Problemf records that something was not as it must be.
func (v *Verdict) Problemf(format string, args ...any) {
	v.OK = false
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// Expectf records a problem unless ok.
func (v *Verdict) Expectf(ok bool, format string, args ...any) {
	if !ok {
		v.Problemf(format, args...)
	}
}

// Result is the verdict itself, for [Report].
func (v *Verdict) Result() *Verdict { return v }
