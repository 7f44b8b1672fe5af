package migration

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// functionFolder has the functions of the schema: functions/name.N.sql is the text
// that a function has from version N of the schema on. It has one function, whose
// name no other has. A released text never changes: the next one is a file with a
// greater N.
const functionFolder = "functions"

var (
	functionFile = regexp.MustCompile(`^([a-z][a-z0-9_]*)\.([1-9]\d*)\.sql$`)
	functionHead = regexp.MustCompile(`(?s)^(?:--[^\n]*\n)*CREATE OR REPLACE FUNCTION /\* TEMPLATE: schema \*/([a-z0-9_]+)(\(.*?)\nLANGUAGE `)
)

// functionEnd ends the definition of a function. What follows belongs to its making,
// such as who may call it.
const functionEnd = "\n$$;\n"

// A function is one function of the schema.
type function struct {
	name  string
	texts []functionText // in the order of their versions
}

type functionText struct {
	version    int
	signature  string // parameters and what it returns
	definition string
	rest       string // of the first text only
}

// readFunctions returns the functions in the order of their names, which is that in
// which they are made. It fails if a text changes a signature: clients of earlier
// versions call it as it was.
func readFunctions(files fs.FS) ([]*function, error) {
	entries, err := fs.ReadDir(files, functionFolder)
	if err != nil {
		return nil, err
	}
	byName := map[string]*function{}
	var functions []*function
	for _, entry := range entries {
		name, text, err := readFunctionText(files, entry.Name())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(functionFolder, entry.Name()), err)
		}
		f := byName[name]
		if f == nil {
			f = &function{name: name}
			byName[name] = f
			functions = append(functions, f)
		}
		f.texts = append(f.texts, text)
	}
	for _, f := range functions {
		slices.SortFunc(f.texts, func(a, b functionText) int { return a.version - b.version })
		if err := f.validate(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(functions, func(a, b *function) int { return strings.Compare(a.name, b.name) })
	return functions, nil
}

func readFunctionText(files fs.FS, file string) (string, functionText, error) {
	match := functionFile.FindStringSubmatch(file)
	if match == nil {
		return "", functionText{}, errors.New("is not named name.N.sql")
	}
	version, err := strconv.Atoi(match[2])
	if err != nil {
		return "", functionText{}, err
	}
	sql, err := fs.ReadFile(files, path.Join(functionFolder, file))
	if err != nil {
		return "", functionText{}, err
	}
	definition, rest, found := strings.Cut(string(sql), functionEnd)
	head := functionHead.FindStringSubmatch(definition)
	if !found || head == nil || head[1] != match[1] {
		return "", functionText{}, fmt.Errorf("does not begin with CREATE OR REPLACE FUNCTION %s and its body", match[1])
	}
	return match[1], functionText{
		version:    version,
		signature:  strings.Join(strings.Fields(head[2]), " "),
		definition: definition + functionEnd,
		rest:       rest,
	}, nil
}

func (f *function) validate() error {
	for i, text := range f.texts[1:] {
		if text.signature != f.texts[i].signature {
			return fmt.Errorf("function %s: version %d has another signature than version %d: give it another name",
				f.name, text.version, f.texts[i].version)
		}
		if strings.TrimSpace(text.rest) != "" {
			return fmt.Errorf("function %s: version %d has more than the function: grants stay as they are",
				f.name, text.version)
		}
	}
	return nil
}

// up is what the step to a version does with the function: nothing if it stays as it
// is. Replacing it leaves its owner and its grants.
func (f *function) up(version int) string {
	for i, text := range f.texts {
		switch {
		case text.version != version:
		case i == 0: // no function of somebody else is replaced, or given rights
			return strings.Replace(text.definition, "CREATE OR REPLACE FUNCTION", "CREATE FUNCTION", 1) +
				strings.ReplaceAll(text.rest, "ON FUNCTION "+f.qualified()+" ", "ON FUNCTION "+f.qualified()+text.arguments()+" ")
		default:
			return text.definition + text.rest
		}
	}
	return ""
}

func (f *function) qualified() string { return "/* TEMPLATE: schema */" + f.name }

// arguments are the parameters without their defaults, as DROP FUNCTION has them.
func (t functionText) arguments() string {
	depth, from := 0, 1
	var list []string
	for i, r := range t.signature {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		}
		if depth == 0 || depth == 1 && r == ',' {
			parameter, _, _ := strings.Cut(t.signature[from:i], " DEFAULT ")
			list = append(list, strings.TrimSpace(parameter))
			from = i + 1
		}
		if depth == 0 {
			break
		}
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// down undoes up.
func (f *function) down(version int) string {
	for i, text := range f.texts {
		switch {
		case text.version != version:
		case i == 0:
			return fmt.Sprintf("DROP FUNCTION %s%s;\n", f.qualified(), text.arguments())
		default:
			return f.texts[i-1].definition
		}
	}
	return ""
}
