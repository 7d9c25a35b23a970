"""What pyproject.toml cannot say: tests are not installed."""

from setuptools import setup
from setuptools.command.build_py import build_py


class WithoutTests(build_py):
    def find_package_modules(self, package, folder):
        found = super().find_package_modules(package, folder)
        return [
            each for each in found if not each[1].startswith("test_")
        ]


setup(cmdclass={"build_py": WithoutTests})
