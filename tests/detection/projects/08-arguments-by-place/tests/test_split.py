def test_nothing_much():
    assert open("tests/fixture.txt").read()
