package dialecttest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/riverhook/riverhook/dialect"
)

// aloneEnv names the test that a process was started for by checkIO.
const aloneEnv = "RIVERHOOK_DIALECTTEST_ALONE"

const verdict = "dialecttest: "

// checkIO runs the test that it is called in once more, in a process of its own:
// what that must not open cannot be taken away from this one, where other tests
// run. There the dialect is called while nothing can be opened.
func checkIO(t *testing.T, c Case) error {
	t.Helper()
	if os.Getenv(aloneEnv) == t.Name() {
		fmt.Println(verdict + text(buildWithoutFiles(c))) //nolint:forbidigo // to the process that waits
		t.SkipNow()
	}
	var pattern []string
	for name := range strings.SplitSeq(t.Name(), "/") {
		pattern = append(pattern, "^"+regexp.QuoteMeta(name)+"$")
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run="+strings.Join(pattern, "/"), "-test.count=1")
	// The race detector would let it sleep for a second before it exits.
	cmd.Env = append(os.Environ(), aloneEnv+"="+t.Name(), "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	for line := range bytes.Lines(out) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(string(line)), verdict); ok {
			if said == text(nil) {
				return nil
			}
			return fmt.Errorf("where no file and no connection can be opened: %s", said)
		}
	}
	return fmt.Errorf("the test in a process of its own: %w\n%s", err, out)
}

// The first call is the one without files: what is opened once is opened then.
func buildWithoutFiles(c Case) error {
	var without dialect.Request
	var err error
	if limited := withoutFiles(func() {
		without, err = build(c, destination(c.Secrets...))
		if err == nil && c.Verifier != nil {
			err = verify(c, without.Header, without.Body, c.Secrets...)
		}
	}); limited != nil {
		return limited
	}
	if err != nil {
		return err
	}
	with, err := build(c, destination(c.Secrets...))
	if err == nil && !reflect.DeepEqual(with, without) {
		err = errors.New("another request than otherwise")
	}
	return err
}
