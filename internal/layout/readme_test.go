package layout_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

const maxProgramLines = 60

var (
	goBlock     = regexp.MustCompile("(?s)(?:^|\n)```go\n(.*?\n)```(?:\n|$)")
	mainPackage = regexp.MustCompile(`(?m)^package main$`)
)

func TestReadme_ItsProgramCompiles(t *testing.T) {
	t.Parallel()

	requireCompiles(t, "README.md")
}

func TestGuides_TheProgramForReceiversCompiles(t *testing.T) {
	t.Parallel()

	requireCompiles(t, "docs/receiver.md")
}

// A receiver that does not know the secret yet cannot verify the first event.
func TestReadme_TellsTheSecretBeforeTheFirstEvent(t *testing.T) {
	t.Parallel()

	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	program := programsIn(text)[0]
	last := -1
	for _, step := range []string{"Subscriptions().Create(", "Secret.Reveal()", "os.Stdin.Read(", "outbox.Enqueue("} {
		at := bytes.Index(program, []byte(step))
		require.Greater(t, at, last, step)
		last = at
	}
}

// The program in the guide is the one that is compiled and run.
func TestGettingStarted_ShowsTheProgramThatIsTested(t *testing.T) {
	t.Parallel()

	text, err := os.ReadFile(filepath.Join(root, "docs", "getting-started.md"))
	require.NoError(t, err)
	program, err := os.ReadFile(filepath.Join(root, "example", "webapp", "main.go"))
	require.NoError(t, err)
	require.Equal(t, [][]byte{program}, programsIn(text))
}

// Who copies from a guide for users copies a call that asks what the user may do.
func TestGuides_CreateSubscriptionsAsAUser(t *testing.T) {
	t.Parallel()

	for _, name := range []string{"filters.md", "getting-started.md", "subscriptions.md", "verification.md"} {
		text, err := os.ReadFile(filepath.Join(root, "docs", name))
		require.NoError(t, err)
		creates := regexp.MustCompile(`Subscriptions\(\)[^\n]*?\.Create\(`).FindAll(text, -1)
		require.NotEmpty(t, creates, name)
		for _, call := range creates {
			require.Regexp(t, `^Subscriptions\(\)\.As\(`, string(call), name)
		}
	}
}

func requireCompiles(t *testing.T, document string) {
	t.Helper()

	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(document)))
	require.NoError(t, err)

	programs := programsIn(text)
	require.NotEmpty(t, programs, "%s has no ```go block with package main", document)
	for _, program := range programs {
		require.LessOrEqual(t, bytes.Count(program, []byte("\n")), maxProgramLines, "the program is too long to be read at a glance")
		require.NoError(t, compile(t, program))
	}
}

func TestReadme_AProgramThatDoesNotCompileIsFound(t *testing.T) {
	t.Parallel()

	readme := "# Title\n\n```go\noutbox.Enqueue(ctx, tx, intent)\n```\n\n```go\npackage main\n\nfunc main() { missing() }\n```\n"

	programs := programsIn([]byte(readme))
	require.Len(t, programs, 1)
	require.ErrorContains(t, compile(t, programs[0]), "undefined: missing")
	require.ErrorContains(t, compile(t, []byte("package main\n\nimport _ \""+module+"/internal/store\"\n\nfunc main() {}\n")), "internal")
	require.NoError(t, compile(t, []byte("package main\n\nfunc main() {}\n")))
}

// programsIn returns the Go blocks of a Markdown text that are complete
// programs.
func programsIn(text []byte) [][]byte {
	var programs [][]byte
	for _, block := range goBlock.FindAllSubmatch(text, -1) {
		if mainPackage.Match(block[1]) {
			programs = append(programs, block[1])
		}
	}
	return programs
}

// compile builds the program as if it lay in a folder of this module, which it
// never does: an overlay puts it there for the compiler alone.
func compile(t *testing.T, program []byte) error {
	t.Helper()

	parsed, err := parser.ParseFile(token.NewFileSet(), "main.go", program, parser.ImportsOnly)
	require.NoError(t, err)
	for _, spec := range parsed.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		if within(path, module+"/internal") {
			return fmt.Errorf("%s: internal packages are not for users", path)
		}
	}

	dir := t.TempDir()
	source, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	target, err := filepath.Abs(filepath.Join(root, "readme-program", "main.go"))
	require.NoError(t, err)
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{target: source}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(source, program, 0o600))
	require.NoError(t, os.WriteFile(overlay, replace, 0o600))

	cmd := exec.CommandContext(t.Context(), "go", "build", "-overlay", overlay, "-o", os.DevNull, "./readme-program")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
