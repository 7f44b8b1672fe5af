package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// testTimeout is for one run of a test program. A mutant must make its test
// fail, not hang.
const testTimeout = time.Minute

// checker builds and runs test programs.
type checker struct {
	root string // of the module
	temp string
	env  []string
}

func newChecker(ctx context.Context, databaseURL string) (*checker, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the module: %w", err)
	}
	temp, err := os.MkdirTemp("", "riverhook-mutants-")
	if err != nil {
		return nil, err
	}
	return &checker{
		root: strings.TrimSpace(string(out)),
		temp: temp,
		env:  append(os.Environ(), "DATABASE_URL="+databaseURL),
	}, nil
}

func (c *checker) close() error { return os.RemoveAll(c.temp) }

// verdict is what became of a mutant.
type verdict string

const (
	caught   verdict = "caught"
	survived verdict = "SURVIVED"
	failed   verdict = "ERROR" // nobody knows: it does not build, or the test did not run to its end
)

type result struct {
	mutant  mutant
	verdict verdict
	err     error
	took    time.Duration
}

func (r *result) print(out io.Writer) {
	printf(out, "%-8s %5.1f s  %s  (%s)\n", r.verdict, r.took.Seconds(), r.mutant.name, r.mutant.test)
	if r.err != nil {
		printf(out, "%v\n", r.err)
	}
}

// passUnchanged shows that the tests pass without a mutant: one that fails
// anyway would catch everything.
func (c *checker) passUnchanged(ctx context.Context, chosen []mutant) error {
	tests := map[string][]string{}
	for _, m := range chosen {
		tests[m.folder()] = append(tests[m.folder()], m.testName())
	}
	for _, folder := range slices.Sorted(maps.Keys(tests)) {
		ended, out, err := c.run(ctx, folder, tests[folder], nil)
		if err != nil {
			return fmt.Errorf("without a mutant: %w", err)
		}
		for _, test := range tests[folder] {
			if !ended[test] {
				return fmt.Errorf("without a mutant: %s.%s fails:\n%s", folder, test, out)
			}
		}
	}
	return nil
}

// checkAll checks mutants, one more at once than there are processors since tests
// wait as well, and yields the results in the order of the mutants.
func (c *checker) checkAll(ctx context.Context, chosen []mutant) iter.Seq[*result] {
	results := make([]chan *result, len(chosen))
	for i := range results {
		results[i] = make(chan *result, 1)
	}
	return func(yield func(*result) bool) {
		slots := make(chan struct{}, runtime.GOMAXPROCS(0)+1)
		go func() {
			for i, m := range chosen {
				slots <- struct{}{}
				go func() {
					defer func() { <-slots }()
					results[i] <- c.check(ctx, m)
				}()
			}
		}()
		for _, r := range results {
			if !yield(<-r) {
				return
			}
		}
	}
}

func (c *checker) check(ctx context.Context, m mutant) *result {
	began := time.Now()
	v, err := c.judge(ctx, &m)
	return &result{
		mutant:  m,
		verdict: v,
		err:     err,
		took:    time.Since(began),
	}
}

func (c *checker) judge(ctx context.Context, m *mutant) (verdict, error) {
	text, err := os.ReadFile(filepath.Join(c.root, filepath.FromSlash(m.file))) //nolint:gosec // a file of the table
	if err != nil {
		return failed, err
	}
	if text, err = m.apply(text); err != nil {
		return failed, err
	}
	passed, _, err := c.run(ctx, m.folder(), []string{m.testName()}, &change{file: m.file, text: text})
	switch {
	case err != nil:
		return failed, err
	case passed[m.testName()]:
		return survived, nil
	default:
		return caught, nil
	}
}

// change is a file of the module as the compiler is to see it.
type change struct {
	file string
	text []byte
}

// run builds the test program of a folder, with a change if there is one, and
// says of each of the tests whether it passed, and what they printed. All of them
// have run to their end, or there is an error.
func (c *checker) run(
	ctx context.Context, folder string, tests []string, with *change,
) (passed map[string]bool, printed []byte, err error) {
	program, err := c.build(ctx, folder, with)
	if err != nil {
		return nil, nil, err
	}
	tests = slices.Compact(slices.Sorted(slices.Values(tests)))
	args := []string{"-test.v", "-test.timeout=" + testTimeout.String(), "-test.run=^(" + strings.Join(tests, "|") + ")$"}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // what was just built
	cmd.Dir, cmd.Env = filepath.Join(c.root, filepath.FromSlash(folder)), c.env
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, nil, err
	}
	passed = ends(out)
	for _, test := range tests {
		if _, ended := passed[test]; !ended {
			return nil, nil, fmt.Errorf("%s.%s did not run to its end:\n%s", folder, test, tail(out))
		}
	}
	return passed, tail(out), os.Remove(program)
}

// build returns the test program.
func (c *checker) build(ctx context.Context, folder string, with *change) (string, error) {
	dir, err := os.MkdirTemp(c.temp, "")
	if err != nil {
		return "", err
	}
	program, overlay := filepath.Join(dir, "test"), filepath.Join(dir, "overlay.json")
	replaced := map[string]string{}
	if with != nil {
		changed := filepath.Join(dir, "changed"+filepath.Ext(with.file))
		if err := os.WriteFile(changed, with.text, 0o600); err != nil {
			return "", err
		}
		replaced[filepath.Join(c.root, filepath.FromSlash(with.file))] = changed
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": replaced})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	args := []string{"test", "-c", "-vet=off", "-ldflags=-w", "-overlay", overlay, "-o", program, "./" + folder}
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // a folder of the table
	cmd.Dir = c.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, tail(out))
	}
	return program, nil
}

var end = regexp.MustCompile(`(?m)^--- (PASS|FAIL): (\w+) \(`)

// ends returns the tests that came to their end, and whether they passed.
func ends(out []byte) map[string]bool {
	passed := map[string]bool{}
	for _, m := range end.FindAllSubmatch(out, -1) {
		passed[string(m[2])] = string(m[1]) == "PASS"
	}
	return passed
}

// tail is the end of what a program has said.
func tail(out []byte) []byte {
	const most = 4000
	out = bytes.TrimSpace(out)
	return out[max(len(out)-most, 0):]
}
