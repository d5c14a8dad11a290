package purchase

import "testing"

func TestTotal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amounts []string
		want    string
		left    int // that are no money
	}{
		{nil, "0.00", 0},
		{[]string{"0.1", "0.2"}, "0.30", 0}, // with floats 0.30000000000000004
		{[]string{"50", "5e1", "50.00"}, "150.00", 0},
		{[]string{"999999999999999", "0.000000000000000001"}, "999999999999999.000000000000000001", 0},
		{[]string{"999999999999999", "999999999999999"}, "1999999999999998.00", 0},
		{[]string{"1.005", "0", "-1", "1e16", "1e-19", "1e999999999999", "7"}, "8.005", 5},
	} {
		var total Total
		left := 0
		for _, literal := range c.amounts {
			d, ok := ParseDecimal(literal)
			if !ok {
				t.Fatal(literal)
			}
			if !total.Add(d) {
				left++
			}
		}
		if total.String() != c.want || left != c.left {
			t.Errorf("%v: %s, %d left out; want %s, %d", c.amounts, total.String(), left, c.want, c.left)
		}
	}
}
